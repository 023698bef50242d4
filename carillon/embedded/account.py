"""The unprivileged system account that servers run under when we are root.

PostgreSQL refuses to run as root. An existing account is used, none is created.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from carillon.setup_error import SetupError


@dataclass(frozen=True, kw_only=True)
class Account:
    """A system account to run a server under."""

    name: str
    uid: int
    gid: int


class Identity(TypedDict, total=False):
    """Keywords of `subprocess` that say who a process is."""

    user: int
    group: int
    extra_groups: list[int]


def account_for(*names: str) -> Account | None:
    """The first of `names` that exists, or None where we are not root and run as ourselves.

    Raises SetupError where none exists, or where this process may not change to it.
    """
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
        _prove(account)
        return account
    raise SetupError(
        f"The database cannot run as root and none of the accounts {', '.join(names)} exists: "
        "run this as an ordinary user."
    )


def may_execute(program: Path, account: Account | None) -> bool:
    """Whether `account` reaches and can run `program`: tried, because modes alone do not tell."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            check=False,
            cwd="/",
            **identity(account),
        )
    except OSError:
        return False
    return done.returncode == 0


def identity(account: Account | None) -> Identity:
    """The keywords that make `subprocess` start a process under `account`; none for ourselves."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def _prove(account: Account) -> None:
    try:
        subprocess.run(["/bin/true"], check=True, cwd="/", **identity(account))
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(
            f"The database cannot run as root and this container does not allow changing to the account "
            f"{account.name}: run this as an ordinary user."
        ) from error
