"""What a crash left in PostgreSQL's data folder: a stale lock file, or a postmaster without its parent.

PostgreSQL itself trusts the process id in `postmaster.pid`. After a power cut, and above all in containers,
where ids are small and soon reused, that id may belong to somebody else; so the process is identified by its
working directory, which is always the data folder.
"""

import os
import signal
import time
from pathlib import Path

import psutil

from carillon.setup_error import SetupError

_PATIENCE = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))


def clear_stale_postmaster(data: Path) -> None:
    """Make sure that nothing runs on `data` and that no lock file says so.

    An orphan is stopped in order (fast, then immediate shutdown: both safe). Raises SetupError where a
    live process of somebody else runs it, or where the orphan does not end.
    """
    lock = data / "postmaster.pid"
    postmaster = _postmaster(lock, data)
    if postmaster is not None:
        _refuse_if_wanted(postmaster, data)
        _stop(postmaster, data)
    lock.unlink(missing_ok=True)


def _postmaster(lock: Path, data: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(lock.read_text().split("\n", 1)[0]))
        # A server that is shutting down may already have let go of its directory.
        runs_here = process.name() == "postgres" and Path(process.cwd()).resolve() == data.resolve()
    except (FileNotFoundError, ValueError, psutil.Error):
        return None
    except OSError as error:
        raise SetupError(f"The database's lock file {lock} cannot be read: {error.strerror}.") from error
    return process if runs_here else None


def _refuse_if_wanted(postmaster: psutil.Process, data: Path) -> None:
    parent = postmaster.parent()
    if parent is None or parent.pid in (1, os.getpid()):
        return
    if "carillon" in " ".join(parent.cmdline()):
        raise SetupError(f"The database in {data} is in use by process {parent.pid}: stop that first.")


def _stop(postmaster: psutil.Process, data: Path) -> None:
    for step, grace_s in _PATIENCE:
        try:
            postmaster.send_signal(step)
            postmaster.wait(grace_s)
        except psutil.NoSuchProcess:
            break
        except psutil.TimeoutExpired:
            continue
        except psutil.AccessDenied as error:
            raise SetupError(
                f"A database server of another account (process {postmaster.pid}) runs on {data}."
            ) from error
    if postmaster.is_running():
        raise SetupError(f"The database server {postmaster.pid} that runs on {data} does not end: stop it.")
    # The kernel may need a moment to release the server's shared memory.
    time.sleep(0.05)
