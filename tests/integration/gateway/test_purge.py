"""Months that are over are forgotten, and nothing in which something is still open."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from gateway_service.messaging.purge import Purge
from gateway_service.storage.partitions import created_at, first_id, month_before, partition_statements
from shared.clients.ledgers import LedgerClient
from shared.contracts.channels import Channel
from shared.process.service_tokens import ServiceTokens
from tests.integration.gateway.conftest import CHANNELS, SECRET, Gateway, StartGateway, eventually
from tests.integration.gateway.scenes import accepted

NOW = datetime.now(UTC)
"""What is stored below is at home in the months before. The real time, since PostgreSQL's clock and the
newest notification are asked, too."""


@dataclass(frozen=True)
class At:
    """A clock that stands still."""

    at: datetime = field(default=NOW)

    def now(self) -> datetime:
        """Always the same."""
        return self.at


def a_purge(gateway: Gateway, *, keep_months: int, at: datetime = NOW) -> Purge:
    ledgers = LedgerClient(CHANNELS, ServiceTokens(SECRET, "gateway"), transport=gateway.peers.transport())
    return Purge(gateway.database, ledgers, At(at), keep_months=keep_months, pause_s=0)


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    """One that forgets nothing by itself."""
    return await start_gateway(keep_months=0)


async def aged(gateway: Gateway, *, months: int) -> UUID:
    """A notification of so many months ago, that has ended, with its target."""
    month = month_before(NOW, months=months)
    for statement in partition_statements(month, months=0):
        await gateway.sql(statement)
    identifier = await accepted(gateway)
    old = UUID(int=first_id(month).int + 1)
    for table, column in (("notifications", "id"), ("targets", "notification_id")):
        [columns] = await gateway.sql(
            """
            SELECT string_agg(attname, ', ') AS names FROM pg_attribute
            WHERE attrelid = $1::text::regclass AND attnum > 0 AND attname <> $2
            """,
            table,
            column,
        )
        names = columns["names"]
        await gateway.sql(
            f"INSERT INTO {table} ({column}, {names}) SELECT $2, {names} FROM {table} WHERE {column} = $1",
            identifier,
            old,
        )
    await gateway.sql("DELETE FROM outbox")
    return old


async def has_month(gateway: Gateway, *, months: int) -> list[bool]:
    """Of notifications and of targets."""
    suffix = f"{month_before(NOW, months=months):%Y_%m}"
    [row] = await gateway.sql(
        "SELECT to_regclass($1::text) IS NOT NULL AS n, to_regclass($2::text) IS NOT NULL AS t",
        f"notifications_{suffix}",
        f"targets_{suffix}",
    )
    return [row["n"], row["t"]]


async def test_months_that_are_over_go_whole_whoever_is_at_it(start_gateway: StartGateway) -> None:
    gateway, other = await start_gateway(keep_months=0), await start_gateway(keep_months=0)
    over, kept = await aged(gateway, months=14), await aged(gateway, months=13)
    purges = [a_purge(one, keep_months=13) for one in (gateway, other, gateway)]
    await asyncio.gather(*(purge.drop_months() for purge in purges))
    assert await has_month(gateway, months=14) == [False, False]
    assert await has_month(gateway, months=13) == [True, True]
    assert (await gateway.get(f"/{over}")).status_code == 404
    assert (await gateway.get(f"/{kept}")).status_code == 200
    assert len((await gateway.get("")).json()["items"]) == 3
    assert (await gateway.post(gateway.a_request())).status_code == 202


@pytest.mark.parametrize("has_accepted", [False, True])
async def test_a_gateway_whose_clock_is_ahead_drops_nothing_that_is_to_stay(
    gateway: Gateway, has_accepted: bool
) -> None:
    over, kept = await aged(gateway, months=14), await aged(gateway, months=13)
    ahead = NOW + timedelta(days=3 * 365)
    if has_accepted:
        await gateway.sql(
            "UPDATE notifications SET id = $1 "
            "WHERE id = (SELECT id FROM notifications ORDER BY id DESC LIMIT 1)",
            first_id(ahead),
        )
    await a_purge(gateway, keep_months=13, at=ahead).drop_months()
    assert await has_month(gateway, months=14) == [False, False]
    assert await has_month(gateway, months=13) == await has_month(gateway, months=0) == [True, True]
    assert (await gateway.get(f"/{over}")).status_code == 404
    assert (await gateway.get(f"/{kept}")).status_code == 200


async def test_months_are_counted_back_from_the_newest_notification(gateway: Gateway) -> None:
    """Where all clocks of the machine are ahead, or nothing has been sent for years."""
    over, kept = await aged(gateway, months=34), await aged(gateway, months=20)
    await gateway.sql("DELETE FROM notifications WHERE id > $1", kept)
    await a_purge(gateway, keep_months=13).drop_months()
    assert (await gateway.get(f"/{kept}")).status_code == 200
    assert (await gateway.get(f"/{over}")).status_code == 404


async def test_more_months_than_there_have_been_keep_all(gateway: Gateway) -> None:
    kept = await aged(gateway, months=100)
    assert await a_purge(gateway, keep_months=1_200).drop_months()
    assert (await gateway.get(f"/{kept}")).status_code == 200


OPEN_WORK: dict[str, Callable[[UUID], tuple[str, object]]] = {
    "outbox": lambda identifier: (
        "INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at) "
        "VALUES ($1, 2, 'email', 'normal', 'infinity', 'infinity')",
        identifier,
    ),
    "failed": lambda identifier: (
        "INSERT INTO failed (id, notification_id, target, run, error, error_kind, history, created_at) "
        "VALUES (uuidv7(), $1, 'address', 1, 'No', 'provider.rejected', '[]', now())",
        identifier,
    ),
}


@pytest.mark.parametrize("table", list(OPEN_WORK))
async def test_a_month_waits_for_what_is_open_in_it(gateway: Gateway, table: str) -> None:
    identifier = await aged(gateway, months=14)
    await gateway.sql(*OPEN_WORK[table](identifier))
    purge = a_purge(gateway, keep_months=13)
    await purge.drop_months()
    assert await has_month(gateway, months=14) == [True, True]
    assert (await gateway.get(f"/{identifier}")).status_code == 200
    await gateway.sql("DELETE FROM outbox" if table == "outbox" else "UPDATE failed SET status = 'discarded'")
    await purge.drop_months()
    assert await has_month(gateway, months=14) == [False, False]


@pytest.mark.parametrize("table", list(OPEN_WORK))
async def test_what_opens_meanwhile_saves_its_month(gateway: Gateway, table: str) -> None:
    """Somebody who sends it again has locked the notification, and commits while its month waits to go."""
    identifier = await aged(gateway, months=14)
    async with gateway.database.transaction() as connection:
        await connection.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", identifier)
        dropping = asyncio.create_task(a_purge(gateway, keep_months=13).drop_months())

        async def waits() -> bool:
            return dropping.done() or bool(await gateway.sql("SELECT FROM pg_locks WHERE NOT granted"))

        await eventually(waits)
        await connection.execute(*OPEN_WORK[table](identifier))
    assert not await dropping
    assert await has_month(gateway, months=14) == [True, True]


async def test_nobody_waits_long_behind_a_month_that_is_not_free(gateway: Gateway) -> None:
    identifier = await aged(gateway, months=14)
    async with gateway.database.transaction() as connection:
        await connection.execute("SELECT FROM notifications WHERE id = $1 FOR UPDATE", identifier)
        began = time.monotonic()
        assert not await a_purge(gateway, keep_months=13).drop_months()
        assert time.monotonic() - began < 1.5
    assert await a_purge(gateway, keep_months=13).drop_months()
    assert await has_month(gateway, months=14) == [False, False]


async def test_a_ledger_forgets_a_month_later_than_the_gateway(gateway: Gateway) -> None:
    """Held back are both by what the gateway keeps, whatever its age."""
    await aged(gateway, months=16)
    await gateway.sql(*OPEN_WORK["outbox"](await aged(gateway, months=20)))
    gateway.peers.old_rows = {"email": 12_000}
    purge = a_purge(gateway, keep_months=2)
    await purge.drop_months()
    assert await has_month(gateway, months=16) == [False, False]
    await purge.purge_ledgers()
    before = first_id(month_before(NOW, months=21))
    assert gateway.peers.purged == [("email", before)] * 4 + [("push", before)]
    assert gateway.peers.old_rows["email"] == 0
    # One that is away is told the next time, and keeps no other from it.
    gateway.peers.purged.clear()
    gateway.peers.away.add("email")
    await purge.purge_ledgers()
    assert {host for host, _ in gateway.peers.purged} == {Channel.PUSH.value}


async def test_what_lies_in_no_month_is_never_asked_of_a_ledger_that_forgot(gateway: Gateway) -> None:
    stray = UUID(int=first_id(datetime(2020, 5, 9, tzinfo=UTC)).int + 1)
    await gateway.sql(
        "INSERT INTO outbox (notification_id, run, channel, lane, due_at, next_at) "
        "VALUES ($1, 1, 'email', 'normal', 'infinity', 'infinity')",
        stray,
    )
    await a_purge(gateway, keep_months=1).purge_ledgers()
    assert {before for _, before in gateway.peers.purged} == {first_id(datetime(2020, 4, 1, tzinfo=UTC))}
    older = UUID(int=first_id(datetime(2019, 8, 7, tzinfo=UTC)).int + 1)
    await gateway.sql("UPDATE notifications SET id = $2 WHERE id = $1", await accepted(gateway), older)
    await a_purge(gateway, keep_months=1).purge_ledgers()
    assert gateway.peers.purged[-1][1] == first_id(datetime(2019, 7, 1, tzinfo=UTC))


async def test_with_zero_everything_is_kept(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(keep_months=0)
    await aged(gateway, months=100)
    everything = a_purge(gateway, keep_months=0)
    await everything.drop_months()
    await everything.purge_ledgers()
    assert await has_month(gateway, months=100) == [True, True]
    assert gateway.peers.purged == []
    # And without it a gateway sees to it by itself.
    await start_gateway()

    async def is_gone() -> bool:
        return not any(await has_month(gateway, months=100))

    await eventually(is_gone)


async def test_what_operators_have_closed_goes_with_its_time_and_what_is_open_stays(gateway: Gateway) -> None:
    """With the personal data in it."""
    old = UUID(int=first_id(month_before(NOW, months=3)).int + 1)
    for number, status in enumerate(("open", "reprocessed", "discarded")):
        for identifier in (UUID(int=old.int + number), UUID(int=first_id(NOW).int + number)):
            await gateway.sql(
                """
                INSERT INTO failed (id, error, error_kind, history, status, created_at, closed_at)
                VALUES ($1, 'No', 'smtp.refused', '[]', $2, now(), $3)
                """,
                identifier,
                status,
                created_at(identifier),
            )
    [kept_open] = await gateway.sql(
        """
        INSERT INTO failed (id, error, error_kind, history, status, created_at, closed_at)
        VALUES ($1, 'No', 'smtp.refused', '[]', 'reprocessed', now(), now()) RETURNING id
        """,
        UUID(int=old.int + 9),
    )
    await gateway.sql(
        "INSERT INTO operator_acts (id, at, actor, act) VALUES ($1, $2, 'a', 'discarded')",
        old,
        created_at(old),
    )

    assert await a_purge(gateway, keep_months=1).drop_months()

    kept = await gateway.sql("SELECT status, id < $1 AS old FROM failed ORDER BY id", first_id(NOW))
    assert [(row["status"], row["old"]) for row in kept] == [
        ("open", True), ("reprocessed", True), ("open", False), ("reprocessed", False), ("discarded", False),
    ]  # fmt: skip
    assert kept_open["id"] == UUID(int=old.int + 9)  # it failed long ago, but was closed just now
    assert await gateway.count("operator_acts") == 0
