"""What went into PostgreSQL's write-ahead log (WAL): commits and bytes, by database and table.

Read from the log itself with `pg_waldump`, between two positions, and not from the statistics views: those
are up to 10 s late (a backend that is idle keeps its numbers to itself for so long), they count the
commits of transactions that only read, and know of bytes for the whole server alone. A record belongs to the
table of its first block, with the table's indexes, TOAST and partitions; a commit to the database in which
its transaction wrote. Format: PostgreSQL 18, src/bin/pg_waldump/pg_waldump.c.
"""

import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from carillon.embedded.postgres import EmbeddedPostgres

_RECORD = re.compile(r"rmgr: (\w+) +len \(rec/tot\): +\d+/ *(\d+), tx: +(\d+), .*?desc: (\w+)")
_RELATION = re.compile(r"rel \d+/(\d+)/(\d+)")
_POSITION = "SELECT pg_current_wal_flush_lsn()"
_DATABASES = "SELECT oid, datname FROM pg_database"
# A table, an index of one, its TOAST table, or that one's index: all by the name of the (whole) table.
_RELATIONS = """
    SELECT pg_relation_filenode(c.oid),
           CASE WHEN c.relnamespace = 'pg_catalog'::regnamespace THEN 'catalogue'
                ELSE coalesce(pg_partition_root(part.of), part.of)::regclass::text END
      FROM pg_class AS c
      LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
      LEFT JOIN pg_class AS long ON long.reltoastrelid = coalesce(i.indrelid, c.oid)
      CROSS JOIN LATERAL (SELECT coalesce(long.oid, i.indrelid, c.oid) AS of) AS part
     WHERE pg_relation_filenode(c.oid) IS NOT NULL
"""
_OTHER = "other"

Names = Mapping[str, tuple[str, Mapping[str, str]]]
"""By the database's oid its name, and the names of its tables by their relations' file numbers."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """In one database: commits of transactions that wrote, bytes of WAL, and those by table."""

    commits: int
    wal_bytes: int
    tables: dict[str, int]


def wal_position(server: EmbeddedPostgres) -> str:
    """Where the log on disk ends now."""
    return server.run_sql(_POSITION)


def read_wal(server: EmbeddedPostgres, *, since: str) -> dict[str, Written]:
    """What was written from the position `since` on, by database; empty where nothing was, or PostgreSQL has
    dropped that part of its log already (after a checkpoint, but for what `wal_keep_size` keeps)."""
    end = wal_position(server)
    program, log = str(server.programs / "pg_waldump"), str(server.data / "pg_wal")
    with subprocess.Popen(
        [program, "-p", log, "-s", since, "-e", end],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as process:
        written = summed_up(process.stdout or (), names=_names(server))
    return written if process.returncode == 0 else {}


def summed_up(lines: Iterable[str], *, names: Names) -> dict[str, Written]:
    """`lines` as pg_waldump prints them."""
    commits: Counter[str] = Counter()
    tables: defaultdict[str, Counter[str]] = defaultdict(Counter)
    of_transaction: dict[str, str] = {}
    for line in lines:
        if (record := _RECORD.match(line)) is None:
            continue
        manager, size, transaction, what = record.groups()
        relation = _RELATION.search(line, record.end())
        if relation is not None:
            database, known = names.get(relation[1], (_OTHER, {}))
            tables[database][known.get(relation[2], _OTHER)] += int(size)
            of_transaction[transaction] = database
        else:
            database = of_transaction.get(transaction, _OTHER)
            tables[database]["commits" if manager == "Transaction" else _OTHER] += int(size)
            if manager == "Transaction" and what == "COMMIT":
                commits[database] += 1
    return {
        database: Written(
            commits=commits[database], wal_bytes=found.total(), tables=dict(found.most_common())
        )
        for database, found in tables.items()
    }


def _names(server: EmbeddedPostgres) -> Names:
    found = {}
    for database in server.run_sql(_DATABASES).splitlines():
        oid, _, name = database.partition("|")
        if not name.startswith("template"):
            rows = server.run_sql(_RELATIONS, database=name).splitlines()
            found[oid] = (name, dict(row.split("|", 1) for row in rows))
    return found
