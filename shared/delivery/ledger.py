"""The ledger of a channel: the only one that says what happened to a message."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec

from shared.contracts.delivery import Attempt, DeliveryKey, DeliveryState, Problem, ReportReceipt
from shared.database.engine import Database
from shared.database.group_commit import GroupCommit
from shared.delivery import ledger_sql as sql
from shared.delivery.ledger_rows import (
    Claim,
    Conclusion,
    LedgerRow,
    Opening,
    SettledAttempt,
    TargetKey,
)
from shared.delivery.retry import DoubtStep

MIGRATIONS = Path(__file__).parent / "migrations"
"""Of the ledger, for `python -m X_service migrate`."""
GATHER_S = 0.025
"""Nobody waits for an answer here, so a group may take its time to grow: each costs a commit."""
CLAIMS_GATHER_S = 0.003
"""But who claims holds one of the lane's few slots."""


class Ledger:
    """Claims, settlements and conclusions, grouped: what is asked for within a few ms shares a statement.

    Every method raises `DatabaseUnavailable` where PostgreSQL does not answer; a claim or settlement may then
    have been written or not, and can be asked for again: all of them are fenced.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claims = GroupCommit(self._claim_group, name="ledger.claim", max_wait_s=CLAIMS_GATHER_S)
        self._settlements = GroupCommit(self._settle_group, name="ledger.settlement", max_wait_s=GATHER_S)
        self._conclusions = GroupCommit(self._conclude_group, name="ledger.conclusion", max_wait_s=GATHER_S)
        self._reads = GroupCommit(self._read_group, name="ledger.reading", max_wait_s=GATHER_S)

    async def start(self) -> None:
        """Begin to take groups."""
        for group in (self._claims, self._settlements, self._conclusions, self._reads):
            await group.start()

    async def close(self) -> None:
        """Write what is pending."""
        for group in (self._claims, self._settlements, self._conclusions, self._reads):
            await group.close()

    async def open(self, openings: Sequence[Opening]) -> None:
        """Enter all targets of a run as `pending`, before the first of them is called."""
        async with self._database.connection() as connection:
            await connection.execute(sql.OPEN, *_opening_columns(openings))

    async def claim(self, claim: Claim) -> bool:
        """Write `sending` for the attempt named, with a lease; False where it is not the next or not due."""
        return await self._claims.submit(claim)

    async def settle(self, settled: SettledAttempt) -> LedgerRow | None:
        """Write what came of an attempt. None: the lease ran out meanwhile and the row has moved on; an
        acceptance is then kept as evidence, and settles an `unknown`."""
        row = await self._settlements.submit(settled)
        if row is None and settled.settlement.state is DeliveryState.SENT:
            row = await self._keep_late_acceptance(settled)
        return row

    async def conclude(self, conclusion: Conclusion) -> LedgerRow | None:
        """End a target without a call; None where it has ended, or is being sent, already, or has been
        attempted since that was decided."""
        return await self._conclusions.submit(conclusion)

    async def rows(self, key: DeliveryKey) -> list[LedgerRow]:
        """All targets of a run."""
        return await self._reads.submit(key)

    async def lookup(self, keys: Sequence[DeliveryKey]) -> list[LedgerRow]:
        """All targets of several runs."""
        async with self._database.connection() as connection:
            records = await connection.fetch(
                sql.READ, [key.notification_id for key in keys], [key.run for key in keys]
            )
        return [_row(record) for record in records]

    async def renew(self, claims: Sequence[Claim]) -> None:
        """Move the leases of calls in flight; one that has run out is not revived."""
        async with self._database.connection() as connection:
            await connection.execute(
                sql.RENEW,
                *_key_columns([claim.opening.key for claim in claims]),
                [claim.attempt for claim in claims],
                [claim.lease for claim in claims],
            )

    async def expired(self, *, grace: timedelta, limit: int) -> list[LedgerRow]:
        """Attempts whose lease ran out more than `grace` ago: nobody knows whether they went out."""
        async with self._database.connection() as connection:
            return [_row(record) for record in await connection.fetch(sql.EXPIRED_LEASES, grace, limit)]

    async def anything_left(self, *, expired: timedelta, overdue: timedelta, unreported: timedelta) -> bool:
        """Whether `expired`, `overdue` or `take_unreported` would find something."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(sql.ANYTHING_LEFT, expired, overdue, unreported))

    async def take_overdue(self, *, grace: timedelta, limit: int, hold: timedelta) -> list[LedgerRow]:
        """Targets whose next attempt fell due more than `grace` ago; for `hold`, or until they are claimed,
        they are not given out again."""
        async with self._database.connection() as connection:
            return [_row(record) for record in await connection.fetch(sql.TAKE_OVERDUE, grace, limit, hold)]

    async def keep_overdue(self, keys: Sequence[DeliveryKey], *, hold: timedelta) -> None:
        """What was taken is still in hand: for another `hold` it is not given out again."""
        async with self._database.connection() as connection:
            await connection.execute(
                sql.KEEP_OVERDUE, [key.notification_id for key in keys], [key.run for key in keys], hold
            )

    async def clear_overdue(self, key: DeliveryKey) -> None:
        """What was taken has been looked after, and the process lives: it is not suspected."""
        async with self._database.connection() as connection:
            await connection.execute(sql.CLEAR_OVERDUE, key.notification_id, key.run)

    async def take_unreported(self, *, after: timedelta, limit: int) -> list[LedgerRow]:
        """Rows whose report has had no receipt for `after`; they are not given out again for as long."""
        async with self._database.connection() as connection:
            return [_row(record) for record in await connection.fetch(sql.UNREPORTED, after, limit)]

    async def receive(self, receipts: Sequence[ReportReceipt]) -> None:
        """The gateway has these reports: stop repeating them, and drop the message of what has ended."""
        async with self._database.connection() as connection:
            await connection.execute(
                sql.RECEIPTS,
                [receipt.notification_id for receipt in receipts],
                [receipt.run for receipt in receipts],
                [receipt.target for receipt in receipts],
                [receipt.attempt for receipt in receipts],
                [receipt.state.value for receipt in receipts],
            )

    async def open_targets(self) -> dict[DeliveryState, int]:
        """How many targets have not ended, by state."""
        async with self._database.connection() as connection:
            found = {
                DeliveryState(r["state"]): r["targets"] for r in await connection.fetch(sql.OPEN_TARGETS)
            }
        open_states = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.RETRYING)
        return {state: found.get(state, 0) for state in open_states}

    async def _claim_group(self, asked: list[Claim]) -> list[bool]:
        # Of two in one group that want the same attempt the first asks: the statement cannot tell them apart.
        claims = list({claim.opening.key: claim for claim in reversed(asked)}.values())
        chosen = set(claims)
        async with self._database.connection() as connection:
            records = await connection.fetch(
                sql.CLAIM,
                *_opening_columns([claim.opening for claim in claims]),
                [claim.attempt for claim in claims],
                [claim.provider for claim in claims],
                [claim.lease for claim in claims],
                [claim.token for claim in claims],
            )
        granted = {_key(record) for record in records}
        return [claim.opening.key in granted and claim in chosen for claim in asked]

    async def _settle_group(self, asked: list[SettledAttempt]) -> list[LedgerRow | None]:
        # As in a claim: the first of two writes, and the other learns that the row has moved on.
        settled = list({item.key: item for item in reversed(asked)}.values())
        chosen = {id(item) for item in settled}
        async with self._database.connection() as connection:
            records = await connection.fetch(
                sql.SETTLE,
                *_key_columns([item.key for item in settled]),
                [item.attempt for item in settled],
                [item.settlement.state.value for item in settled],
                [item.provider_message_id for item in settled],
                [_json(item.problem) for item in settled],
                [_json(item.entry) for item in settled],
                [item.settlement.possible_duplicate for item in settled],
                [item.settlement.retry_in for item in settled],
                [item.settlement.doubt for item in settled],
                [item.ended_step for item in settled],
            )
        written = {_key(record): _row(record) for record in records}
        return [written.get(item.key) if id(item) in chosen else None for item in asked]

    async def _conclude_group(self, conclusions: list[Conclusion]) -> list[LedgerRow | None]:
        async with self._database.connection() as connection:
            records = await connection.fetch(
                sql.CONCLUDE,
                *_opening_columns([item.opening for item in conclusions]),
                [item.state.value for item in conclusions],
                [_json(item.problem) for item in conclusions],
                [item.deferred_until for item in conclusions],
                [item.attempt for item in conclusions],
            )
        written = {_key(record): _row(record) for record in records}
        return [written.get(item.opening.key) for item in conclusions]

    async def _read_group(self, keys: list[DeliveryKey]) -> list[list[LedgerRow]]:
        found: dict[DeliveryKey, list[LedgerRow]] = {key: [] for key in keys}
        for row in await self.lookup(list(found)):
            found[DeliveryKey(notification_id=row.key.notification_id, run=row.key.run)].append(row)
        return [found[key] for key in keys]

    async def _keep_late_acceptance(self, settled: SettledAttempt) -> LedgerRow | None:
        async with self._database.connection() as connection:
            record = await connection.fetchrow(
                sql.KEEP_LATE_ACCEPTANCE,
                settled.key.notification_id,
                settled.key.run,
                settled.key.target,
                settled.attempt,
                _json((settled.entry,)),
                settled.provider_message_id,
            )
        return None if record is None else _row(record)


def _key_columns(keys: Sequence[TargetKey]) -> tuple[list[object], list[object], list[object]]:
    return (
        [key.notification_id for key in keys],
        [key.run for key in keys],
        [key.target for key in keys],
    )


def _opening_columns(openings: Sequence[Opening]) -> tuple[Sequence[object], ...]:
    return (
        *_key_columns([opening.key for opening in openings]),
        [opening.targets for opening in openings],
        [opening.request for opening in openings],
        [opening.correlation_id for opening in openings],
    )


def _json(value: object) -> str | None:
    """As text for a `::jsonb` cast: asyncpg would take a tuple within an array for another dimension."""
    return None if value is None else msgspec.json.encode(value).decode()


def _key(record: asyncpg.Record) -> TargetKey:
    return TargetKey(notification_id=record["notification_id"], run=record["run"], target=record["target"])


def _row(record: asyncpg.Record) -> LedgerRow:
    return LedgerRow(
        key=_key(record),
        targets=record["targets"],
        state=DeliveryState(record["state"]),
        attempt=record["attempt"],
        due_in_s=record["due_in_s"],
        lease_in_s=record["lease_in_s"],
        provider=record["provider"],
        provider_message_id=record["provider_message_id"],
        problem=msgspec.convert(record["problem"], Problem | None),
        possible_duplicate=record["possible_duplicate"],
        deferred_until=record["deferred_until"],
        attempts=msgspec.convert(record["attempts"], tuple[Attempt, ...]),
        request=record["request"],
        correlation_id=record["correlation_id"],
        updated_at=record["updated_at"],
        doubt=None if record["doubt"] is None else DoubtStep(record["doubt"]),
        resumed=record["resumed"],
    )
