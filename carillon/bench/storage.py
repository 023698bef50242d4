"""What a load costs PostgreSQL, database by database, and how long mails wait for it.

- Commits and bytes of WAL are read from the log itself, see wal.py.
- Processor time is that of the backends of a database, each of which is a process; what is left of the
  server's belongs to no database (checkpointer, WAL writer, autovacuum) or to backends that have ended.
- Waits are the services' own metrics, see groups.py.

Everything is read before the load and after all is quiet again, so that it costs the load nothing.
"""

from collections.abc import Collection

import msgspec

from carillon.bench.groups import Groups, Totals, groups_between, scraped
from carillon.bench.meter import cpu_seconds
from carillon.bench.wal import Written, read_wal, wal_position
from carillon.embedded.postgres import EmbeddedPostgres

_BACKENDS = "SELECT pid, datname FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid()"


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """By database: what was `written`, and the `cpu_s` of its backends; `groups` by what they write, where
    the system has group commits."""

    written: dict[str, Written]
    cpu_s: dict[str, float]
    groups: dict[str, Groups]

    @property
    def commits(self) -> int:
        """In all databases."""
        return sum(each.commits for each in self.written.values())

    @property
    def wal_bytes(self) -> int:
        """In all databases."""
        return sum(each.wal_bytes for each in self.written.values())


class StorageMeter:
    """Of one server; `addresses` are those of processes that tell of their group commits."""

    def __init__(self, server: EmbeddedPostgres, *, addresses: Collection[str] = ()) -> None:
        self._server, self._addresses = server, addresses
        self._since = ""
        self._cpu_s: dict[int, float] = {}
        self._totals: Totals = {}

    def reset(self) -> None:
        """Count from now on. Raises SetupError where a process does not answer."""
        self._totals = scraped(self._addresses)
        self._cpu_s = {pid: cpu_seconds(pid, tree=False) for pid in self._backends()}
        self._since = wal_position(self._server)

    def read(self) -> Storage:
        """Since the last reset. Raises SetupError where a process does not answer."""
        cpu_s: dict[str, float] = {}
        for pid, database in self._backends().items():
            spent_s = cpu_seconds(pid, tree=False) - self._cpu_s.get(pid, 0.0)
            cpu_s[database] = cpu_s.get(database, 0.0) + max(0.0, spent_s)
        return Storage(
            written=read_wal(self._server, since=self._since),
            cpu_s=cpu_s,
            groups=groups_between(self._totals, scraped(self._addresses)),
        )

    def _backends(self) -> dict[int, str]:
        rows = self._server.run_sql(_BACKENDS).splitlines()
        return {int(pid): database for pid, _, database in (row.partition("|") for row in rows)}
