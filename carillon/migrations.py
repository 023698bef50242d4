"""Bringing the databases of all services up to date, in one process.

Each service can do so for itself (`python -m X_service migrate`); but a process for each would spend most of
a start on importing the same libraries five times.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from carillon.embedded.child import die_with_parent
from carillon.plan import ProcessPlan, with_database
from carillon.services import SERVICES
from carillon.setup_error import SetupError

_TIMEOUT_S = 300


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """A database and where its revisions lie. The URL holds a password: it goes by standard input."""

    service: str
    database_url: str
    revisions: str


async def migrate_all(plans: Sequence[ProcessPlan], *, folder: Path) -> None:
    """One after the other. Raises SetupError with the last words of what failed."""
    migrations = [
        Migration(
            service=plan.name,
            database_url=plan.environment["CARILLON_DATABASE_URL"],
            revisions=str(folder / plan.revisions),
        )
        for plan in plans
        if plan.revisions is not None
    ]
    await _migrate(migrations, folder=folder)


async def migrate_server(database_url: str, *, folder: Path) -> None:
    """The databases of all services on the server that `database_url` names. Raises SetupError."""
    migrations = [
        Migration(
            service=service.name,
            database_url=with_database(database_url, service.database),
            revisions=str(folder / service.revisions),
        )
        for service in SERVICES
    ]
    await _migrate(migrations, folder=folder)


async def _migrate(migrations: Sequence[Migration], *, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "carillon.migrating",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(msgspec.json.encode(migrations)), _TIMEOUT_S)
    except TimeoutError as error:
        raise SetupError(f"The databases did not get ready in {_TIMEOUT_S} s.") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        lines = output.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise SetupError(f"The databases could not be brought up to date: {lines[-1]}")
