"""Bringing the databases of all services up to date, each by its own `migrate`."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from carillon.embedded.child import die_with_parent
from carillon.plan import ProcessPlan
from carillon.setup_error import SetupError

_TIMEOUT_S = 300


async def migrate_all(plans: Sequence[ProcessPlan], *, folder: Path) -> None:
    """All at once. Raises SetupError with the last words of the one that failed."""
    await asyncio.gather(*(_migrate(plan, folder) for plan in plans if plan.is_service))


async def _migrate(plan: ProcessPlan, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *plan.migrate_command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env=dict(plan.environment),
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    except TimeoutError as error:
        raise SetupError(
            f"The database of the {plan.name} service did not get ready in {_TIMEOUT_S} s."
        ) from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        lines = output.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise SetupError(
            f"The database of the {plan.name} service could not be brought up to date: {lines[-1]}"
        )
