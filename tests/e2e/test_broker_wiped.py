"""The broker loses everything it held, in the middle of the work.

`CARILLON_TEST_IN_FLIGHT` says how many: 1,000, or thousands.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.embedded.rabbitmq import EmbeddedRabbitMQ
from carillon.plan import BROKER_DATABASE
from shared.broker.factory import connect_broker
from shared.broker.topology import LANE_QUEUES
from tests.e2e.installation import Installation, eventually

BATCH = 1000
IN_FLIGHT = int(os.environ.get("CARILLON_TEST_IN_FLIGHT", "1000"))
UNDER_WAY = 200
"""So many are sent before the wipe, which then comes in the middle of the work."""
PATIENCE_S = 180
ALL_SENT = Counter({"sent": BATCH})


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["on_postgres", "on_rabbitmq"])
def test_a_broker_wiped_with_a_thousand_in_flight_loses_nothing_and_doubles_nothing(
    transport: str, request: pytest.FixtureRequest
) -> None:
    installation: Installation = request.getfixturevalue(transport)
    broker = BROKERS[transport](request)
    entry = {
        "user_id": installation.recipient(),
        "notification_type": "email",
        "template_code": installation.template(),
        "variables": {"name": "Ann"},
    }
    installation.empty_mailbox()
    published_again = installation.log().count("outbox.published_again")
    email = installation.pid("email")
    os.kill(email, signal.SIGSTOP)
    try:
        answers = [
            installation.post("/notifications/batch", {"notifications": [entry] * BATCH})
            for _ in range(IN_FLIGHT // BATCH)
        ]
        # What the service that stands still has in its sockets does not count as waiting.
        eventually(broker.waiting, lambda waiting: waiting >= IN_FLIGHT * 0.9, within_s=PATIENCE_S)
    finally:
        os.kill(email, signal.SIGCONT)
    eventually(lambda: mails(installation), lambda total: total >= UNDER_WAY, within_s=PATIENCE_S)

    broker.wipe()

    assert [answer["accepted"] for answer in answers] == [BATCH] * len(answers)
    # The mailbox is asked first, for one number: to read all statuses costs the gateway more than to send.
    eventually(lambda: mails(installation), lambda total: total >= IN_FLIGHT, within_s=PATIENCE_S)
    for answer in answers:
        batch_id = answer["batch_id"]
        eventually(partial(statuses, installation, batch_id), ALL_SENT.__eq__, within_s=PATIENCE_S)
    assert installation.log().count("outbox.published_again") > published_again
    # Each has arrived once at least, or it would not be `sent`: so none has arrived twice.
    arrived = mails(installation)
    installation.empty_mailbox()  # others look for theirs in it
    assert arrived == IN_FLIGHT


@dataclass(frozen=True, kw_only=True)
class Wipeable:
    """A broker whose data can be taken away; `waiting` counts the messages in the lanes."""

    url: str
    wipe: Callable[[], None]

    def waiting(self) -> int:
        """Asked anew each time, as an operator would."""
        return asyncio.run(self._waiting())

    async def _waiting(self) -> int:
        broker = connect_broker(self.url, client_name="tests")
        await broker.start(wait_s=10)
        try:
            return sum([(await broker.queue_state(queue)).depth for queue in LANE_QUEUES])
        finally:
            await broker.close()


def in_postgresql(request: pytest.FixtureRequest) -> Wipeable:
    server: EmbeddedPostgres = request.getfixturevalue("postgres")

    def wipe() -> None:
        server.run_sql(f"drop database {BROKER_DATABASE} with (force)")

    return Wipeable(url=server.database_url(BROKER_DATABASE), wipe=wipe)


def in_rabbitmq(request: pytest.FixtureRequest) -> Wipeable:
    server: EmbeddedRabbitMQ = request.getfixturevalue("rabbitmq")

    def wipe() -> None:
        server.delete_vhost("/")
        server.create_vhost("/")

    return Wipeable(url=server.url(), wipe=wipe)


BROKERS = {"on_postgres": in_postgresql, "on_rabbitmq": in_rabbitmq}


def mails(installation: Installation) -> int:
    """How many are in the mailbox."""
    answer = httpx.get(f"{installation.url(8025)}/api/v1/messages", params={"limit": 1}, timeout=30)
    return int(answer.json()["total"])


def statuses(installation: Installation, batch_id: str) -> Counter[str]:
    """How many notifications of a batch have which status."""
    counted: Counter[str] = Counter()
    query: dict[str, str | int] = {"batch_id": batch_id, "limit": 200}
    while True:
        page = installation.api.get("/notifications", params=query).json()
        counted.update(item["status"] for item in page["items"])
        if page["next_cursor"] is None:
            return counted
        query["cursor"] = page["next_cursor"]
