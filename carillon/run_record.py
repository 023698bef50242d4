"""What runs at the moment, written down for `carillon status` and for the next start."""

from pathlib import Path

import msgspec

from carillon.orphans import RunningProcess


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The run of the supervisor `pid`: its services by name and address, its processes, its servers, and
    the channels whose messages are `caught` by a development tool instead of going out.

    Lies in the state folder, which nobody else can look into: the URLs hold passwords.
    """

    pid: int
    addresses: dict[str, str]
    services: list[str]
    database_url: str
    processes: list[RunningProcess]
    broker_url: str = ""
    caught: list[str] = []


def write_record(path: Path, record: RunRecord) -> None:
    """Replace what is there, never half written."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.encode(record))
    unfinished.replace(path)


def read_record(path: Path) -> RunRecord | None:
    """The record of the last run that has not ended in order, or None."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunRecord)
    except (OSError, msgspec.MsgspecError):
        return None
