"""failed.queue: five causes made by real faults, mended, and sent again once each.

With `CARILLON_TEST_FAILURES=10000` it does so for as many failures, with `CARILLON_TEST_BROKERS=postgres`, or
`rabbitmq,postgres`, on other brokers than RabbitMQ.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from playwright.async_api import expect

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.services import SERVICES
from tests import servers
from tests.chromium import running_chromium
from tests.e2e.failed_queue import (
    FAILURES,
    all_parked,
    by_cause,
    copies_by_message_id,
    copies_by_recipient,
    copies_by_token,
    job_of,
    reaches,
    summary,
)
from tests.e2e.failure_causes import WELL_PHONE, Failures, shares_of
from tests.e2e.house import PASSWORD, House, built_house
from tests.fakes.smtp import Hang
from tests.servers import MigratedDatabases

BROKERS = os.environ.get("CARILLON_TEST_BROKERS", "rabbitmq").split(",")
PER_SECOND = 200 if FAILURES >= 1000 else 1000
EVERYTHING = {"filter": {"notification_type": "email"}, "per_second": 1000}
PATIENCE_MS = 60_000
SENT, UNKNOWN = ("sent", False), ("unknown", False)


@pytest.fixture(scope="module", params=BROKERS)
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One broker for all tests of this module."""
    if request.param == "rabbitmq":
        with servers.fresh_vhost(request.getfixturevalue("rabbitmq_server")) as url:
            yield url
    else:
        with servers.fresh_database(request.getfixturevalue("postgres_server")) as url:
            yield url


@pytest.fixture(scope="module")
def lasting_house(
    broker_url: str,
    postgres_server: EmbeddedPostgres,
    migrated_databases: MigratedDatabases,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[House]:
    """Five services."""
    with built_house(
        tmp_path_factory.mktemp("house"),
        postgres=postgres_server,
        databases=migrated_databases,
        broker_url=broker_url,
        redis_url=redis_url,
    ) as built:
        yield built


@pytest.fixture
def house(lasting_house: House) -> Iterator[House]:
    """The same for all tests, with nothing open and nothing broken."""
    yield lasting_house
    lasting_house.mail.mend("rcpt")
    for service in SERVICES:
        if service.name not in lasting_house.processes:
            lasting_house.start(service.name)
    for channel in ("email", "push"):
        rest = {"filter": {"notification_type": channel}, "reason": "The test is over."}
        lasting_house.wait_for(partial(lasting_house.post, "/failed/discard", rest), bool)


def test_five_causes_are_named_mended_and_sent_again_once(house: House) -> None:
    shares, failures = shares_of(FAILURES), Failures(house=house)
    causes = failures.of_all_causes(shares)
    assert {kind: cause["count"] for kind, cause in causes.items()} == {
        "address.refused": shares.refused,
        "template.broken": shares.template,
        "address.unregistered": shares.dead,
        "provider.unavailable": shares.troubled,
        "message.poison": shares.poison,
    }
    for cause in causes.values():
        example = house.get(f"/failed/{cause['example_id']}")
        assert (example["status"], example["cause"]) == ("open", cause["cause"])
        assert example["error"] == cause["error"]
    troubled = house.get(f"/failed/{causes['provider.unavailable']['example_id']}")
    assert [attempt["outcome"] for attempt in troubled["attempts"]] == ["retryable"] * 4

    # Nobody has mended the mail server yet: the job finds that out with a few.
    refused = by_cause(causes["address.refused"], per_second=PER_SECOND)
    dry_run = house.post("/failed/reprocess", refused | {"dry_run": True})
    assert (dry_run["matching"], dry_run["would_send"]) == (shares.refused, shares.refused)
    assert dry_run["likely_duplicates"] == dry_run["opted_out"] == 0
    stopped = reaches(house, job_of(house, refused), "stopped")
    tried = stopped["released"]
    assert tried <= 10
    assert (stopped["sent"], stopped["failed_again"]) == (0, tried)
    assert stopped["reason"].endswith(
        f"failed for the same cause again: {causes['address.refused']['error']}"
    )
    assert summary(house)["total"] == shares.total
    assert not house.mail.mails

    failures.all_but_the_tokens_mended()
    house.post(f"/failed/jobs/{stopped['id']}/resume")
    others = [
        job_of(house, by_cause(causes[kind]))
        for kind in ("template.broken", "provider.unavailable", "message.poison")
    ]
    redirect_one(house, causes["address.unregistered"])
    dead = reaches(house, job_of(house, by_cause(causes["address.unregistered"])), "stopped")
    assert (dead["sent"], dead["failed_again"]) == (0, dead["released"])
    reason = {"reason": "They have removed the app."}
    discarded = house.post("/failed/discard", by_cause(causes["address.unregistered"]) | reason)
    assert discarded == {"discarded": shares.dead - 1, "remaining": 0}
    for job in others:
        done = reaches(house, job, "completed")
        assert done["sent"] == done["total"]
    done = reaches(house, stopped, "completed")
    assert (done["released"], done["sent"]) == (shares.refused + tried, shares.refused)
    acts = [act["act"] for act in house.get("/failed/audit", {"job_id": done["id"]})["items"]]
    assert acts == ["job.completed", "job.resumed", "job.stopped", "job.started"]

    assert summary(house)["total"] == 0
    for kind in ("refused", "template", "troubled", "poison"):
        assert failures.ends(kind) == {SENT: len(failures.ids[kind])}
    assert failures.ends("dead") == {SENT: 1, ("discarded", False): shares.dead - 1}
    names = {"refused": shares.refused, "guest": shares.template, "poison": shares.poison}
    copies = {to: count for to, count in copies_by_recipient(house).items() if to.partition("-")[0] in names}
    assert copies == {f"{name}-{n}": 1 for name in names for n in range(names[name])}
    assert set(copies_by_message_id(house).values()) == {1}
    bills = [mail.data for mail in house.mail.mails if mail.recipient.startswith("guest-")]
    assert all(b"Each of you pays 90." in bill for bill in bills)
    pushed = copies_by_token(house)
    del pushed[WELL_PHONE]
    assert pushed == {"another-phone": 1, **{f"troubled-{n}": 1 for n in range(shares.troubled)}}


def test_two_operators_at_once_and_a_worker_killed_meanwhile_send_each_once(house: House) -> None:
    count, failures = 80, Failures(house=house)
    doubtful = {"transactional": 40, "promotional": 45}
    promotional = range(count // 2 + 1, count, 2)
    failures.mails_refused(count, kind="operators", promotional=promotional)
    all_parked(house, count)
    house.mail.mend("rcpt")
    for place in doubtful.values():
        house.mail.order_for(f"operators-{place}@example.com", Hang())

    with house.operator("ann@example.com") as ann, house.operator("bob@example.com") as bob:
        with ThreadPoolExecutor() as threads:
            posting = [threads.submit(job_of, house, EVERYTHING, by=who) for who in (ann, bob)]
            jobs = [posted.result() for posted in posting]
        house.wait_for(lambda: house.mail.hangs, lambda hangs: hangs == len(doubtful))
        house.kill("email")
        house.time_passes("email")
        house.start("email")
        done = [reaches(house, job, "completed", by=who) for job, who in zip(jobs, (ann, bob), strict=True)]
    assert sum(job["released"] for job in done) == count
    assert sum(job["failed_again"] for job in done) == 0
    assert len({job["created_by"] for job in done}) == 2

    shown = {item["id"]: item for item in failures.all()}
    copies = copies_by_recipient(house)
    for place, notification_id in enumerate(failures.ids["operators"]):
        item, arrived = shown[notification_id], copies[f"operators-{place}"]
        assert item["category"] == ("promotional" if place in promotional else "transactional")
        if item["category"] == "promotional":
            assert (item["status"], item["possible_duplicate"]) in (SENT, UNKNOWN)
            assert arrived == 1 if item["status"] == "sent" else arrived <= 1
        else:
            assert item["status"] == "sent"
            assert arrived == 1 or (arrived == 2 and item["possible_duplicate"])
    assert shown[failures.ids["operators"][doubtful["promotional"]]]["status"] == "unknown"
    assert shown[failures.ids["operators"][doubtful["transactional"]]]["possible_duplicate"]
    assert summary(house)["total"] == 0
    house.wait_for(partial(house.sql, "gateway", "SELECT count(*) FROM outbox"), "0".__eq__)


def test_a_gateway_killed_in_the_middle_of_a_job_goes_on_with_it_exactly(house: House) -> None:
    count, failures = 60, Failures(house=house)
    failures.mails_refused(count, kind="gateway")
    all_parked(house, count)
    house.mail.mend("rcpt")
    job = job_of(house, EVERYTHING | {"per_second": 20})
    house.wait_for(lambda: house.get(f"/failed/jobs/{job['id']}"), lambda found: found["phase"] == "rest")
    house.kill("gateway")
    assert house.sql("gateway", f"SELECT status FROM reprocess_jobs WHERE id = '{job['id']}'") == "running"
    house.time_passes("gateway")
    house.start("gateway")
    done = reaches(house, job, "completed")
    assert (done["total"], done["released"], done["sent"]) == (count, count, count)
    assert failures.ends("gateway") == {SENT: count}
    copies = copies_by_recipient(house)
    assert [copies[f"gateway-{n}"] for n in range(count)] == [1] * count
    assert summary(house)["total"] == 0


async def test_the_same_is_done_in_a_browser(house: House) -> None:
    count, failures = 30, Failures(house=house)
    failures.mails_refused(count, kind="browser")
    found = all_parked(house, count)
    house.account("cleo@example.com")
    async with running_chromium() as chromium:
        page = await chromium.new_page(base_url=house.url)
        page.set_default_timeout(PATIENCE_MS)
        await page.goto("/console/failed")
        await page.get_by_label("Email").fill("cleo@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_role("link", name=found["causes"][0]["error_type"], exact=True).click()
        await page.get_by_label("A second").fill("1000")
        await page.get_by_role("button", name="Dry run").click()
        await expect(page.locator("#dry-run")).to_contain_text(f"{count} would be sent", timeout=PATIENCE_MS)
        await page.get_by_role("button", name=f"Send {count} again", exact=True).click()
        state = page.locator("#job-state")
        await expect(state).to_have_attribute("data-status", "stopped", timeout=PATIENCE_MS)
        await expect(state).to_contain_text("failed for the same cause again")
        assert not any(name.startswith("browser-") for name in copies_by_recipient(house))
        house.mail.mend("rcpt")
        await page.get_by_role("button", name="Resume").click()
        await expect(state).to_have_attribute("data-over", "yes", timeout=PATIENCE_MS)
        await expect(state).to_have_attribute("data-status", "completed")
    assert summary(house)["total"] == 0
    assert failures.ends("browser") == {SENT: count}
    copies = copies_by_recipient(house)
    assert [copies[f"browser-{n}"] for n in range(count)] == [1] * count


def redirect_one(house: House, cause: Mapping[str, Any]) -> None:
    """To another phone of the same person."""
    changes = {"to": {"push": "another-phone"}}
    one = house.post(f"/failed/{cause['example_id']}/reprocess", {"changes": changes})
    assert (one["status"], one["cause"]) == ("reprocessed", cause["cause"])
    path = f"/notifications/{one['notification_id']}"
    house.wait_for(lambda: house.get(path), lambda found: found["status"] == "sent")
