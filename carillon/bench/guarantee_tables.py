"""What the guarantees cost, for a terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from carillon.bench.end_to_end import EndToEnd
from carillon.bench.groups import ACCEPTANCE, CLAIM, REPORTS, SETTLEMENT, Groups
from carillon.bench.guarantees import Guarantees
from carillon.bench.ladder import Climbed, Rung
from carillon.bench.layout import table

_WORDS = {
    Rung.BARE: "rendered and handed over",
    Rung.LEDGER: "also claimed before, settled after",
    Rung.GUARANTEED: "also accepted, reported, receipted",
}
_STEPS = {
    ACCEPTANCE: "stored before the 202",
    CLAIM: "claimed before the call",
    SETTLEMENT: "settled after it; nobody waits",
    REPORTS: "reported to the gateway; nobody waits",
}
_SHOWN_BYTES = 100


def guarantee_tables(
    runs: Sequence[EndToEnd], ladder: Sequence[Climbed], guarantees: Guarantees | None
) -> Iterator[Table | str]:
    """What each run has stored, the ladder, and the sum."""
    for run in runs:
        if run.storage.written:
            yield _stored(run)
        if any(name in run.storage.groups for name in _STEPS):
            yield _waits(run)
    if ladder:
        yield _ladder(ladder)
    if guarantees is not None:
        yield told(guarantees)


def told(price: Guarantees) -> str:
    """In words."""
    written = f", and writes {price.wal_bytes / 1000:.1f} kB of WAL in {price.commits:.2f} commits"
    return (
        f"What the guarantees cost on {price.broker}: of {price.own_ms:.2f} ms of our CPU for each mail, "
        f"{price.guarantees_ms:.2f} ms ({price.share:.0%}) are for them: "
        f"{price.ledger_ms:.2f} ms for the claim before the call and the settlement after it, "
        f"{price.outbox_ms:.2f} ms for storing it before the 202, and for its report and receipt. "
        f"{price.mail_ms:.2f} ms render the mail and hand it over; {price.rest_ms:.2f} ms carry it there: "
        f"HTTP, look-ups, broker, logs. PostgreSQL uses {price.postgres_ms:.2f} ms, "
        f"{price.postgres_guarantees_ms:.2f} ms of it for the guarantees{written if price.wal_bytes else ''}."
    )


def _stored(run: EndToEnd) -> Table:
    made = table(
        f"{run.system} on {run.broker}: what PostgreSQL wrote for each mail",
        "database, table", "commits", "WAL bytes", "CPU ms",
    )  # fmt: skip
    mails, storage = max(1, run.account.arrived), run.storage
    for name in sorted(storage.written.keys() | storage.cpu_s.keys()):
        written, cpu_ms = storage.written.get(name), 1000 * storage.cpu_s.get(name, 0.0) / mails
        if written is None or written.wal_bytes < mails:
            continue
        made.add_row(
            name, f"{written.commits / mails:.3f}", f"{written.wal_bytes / mails:.0f}", f"{cpu_ms:.3f}"
        )
        for part, size in written.tables.items():
            if size > _SHOWN_BYTES * mails:
                made.add_row(f"  {part}", "", f"{size / mails:.0f}", "")
    postgres_ms = 1000 * run.cost["postgres"].cpu_s / mails
    made.add_row(
        "[bold]together, readers and PostgreSQL's own included",
        f"{storage.commits / mails:.3f}",
        f"{storage.wal_bytes / mails:.0f}",
        f"{postgres_ms:.3f}",
    )
    return made


def _waits(run: EndToEnd) -> Table:
    made = table(
        f"{run.system} on {run.broker}: how long a mail waits for its commits",
        "each mail is", "mails in one commit", "mean wait, ms",
    )  # fmt: skip
    for name, words in _STEPS.items():
        if (found := run.storage.groups.get(name)) is not None:
            made.add_row(words, f"{found.size:.1f}", f"{found.wait_ms:.1f}")
    return made


def _ladder(ladder: Sequence[Climbed]) -> Table:
    made = table(
        f"The same mails from one process, {ladder[0].count} at {ladder[0].per_s:.0f}/s",
        "each mail is", "CPU ms", "PostgreSQL\nCPU ms", "commits", "WAL\nbytes", "in a group:\nclaim, settle",
    )  # fmt: skip
    for step in ladder:
        made.add_row(
            _WORDS[step.rung],
            f"{step.own_cpu_ms:.3f}",
            f"{step.postgres_cpu_ms:.3f}",
            f"{step.commits:.3f}",
            f"{step.wal_bytes:.0f}",
            ", ".join(_size(step.groups.get(name)) for name in (CLAIM, SETTLEMENT)),
        )
    return made


def _size(found: Groups | None) -> str:
    return "-" if found is None else f"{found.size:.0f}"
