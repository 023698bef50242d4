"""What operators ask of failed.queue, and what the servers outside have taken."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from tests.e2e.house import House

FAILURES = int(os.environ.get("CARILLON_TEST_FAILURES", "100"))
PATIENCE_S = 120 + FAILURES / 20


def summary(house: House) -> dict[str, Any]:
    """What is open, by cause."""
    return house.get("/failed/summary")


def all_parked(house: House, count: int, *, meanwhile: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """The summary once so many failures are open."""
    return house.wait_for(
        lambda: summary(house),
        lambda found: found["total"] == count,
        meanwhile=meanwhile,
        within_s=PATIENCE_S,
    )


def by_cause(cause: Mapping[str, Any], **more: object) -> dict[str, object]:
    """The body of a job, or of discarding many."""
    return {"filter": {"cause": cause["cause"]}, **more}


def job_of(house: House, body: Mapping[str, object], *, by: httpx.Client | None = None) -> dict[str, Any]:
    """Started a moment ago."""
    return house.post("/failed/reprocess", body, by=by)


def reaches(
    house: House, job: Mapping[str, Any], status: str, *, by: httpx.Client | None = None
) -> dict[str, Any]:
    """The job once it stands there, and what it released has ended."""
    return house.wait_for(
        lambda: house.get(f"/failed/jobs/{job['id']}", by=by),
        lambda found: found["status"] == status and not found["in_flight"],
        within_s=PATIENCE_S,
    )


def pages(house: House, path: str) -> Iterator[dict[str, Any]]:
    """Every item of a list."""
    query: dict[str, str | int] = {"limit": 200}
    while True:
        page = house.get(path, query)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def copies_by_token(house: House) -> Counter[str]:
    """How many messages FCM has taken for each phone."""
    bodies: list[Any] = [received.body["message"] for received in tuple(house.fcm.messages)]
    return Counter(body["token"] for body in bodies)


def copies_by_recipient(house: House) -> Counter[str]:
    """How many mails the mail server has taken for each address, without the domain."""
    return Counter(mail.recipient.partition("@")[0] for mail in tuple(house.mail.mails))


def copies_by_message_id(house: House) -> Counter[str]:
    """How many mails it has taken with each Message-ID."""
    found = (re.search(rb"^Message-ID:\s*(\S+)", mail.data, re.M | re.I) for mail in tuple(house.mail.mails))
    return Counter(match[1].decode() for match in found if match is not None)
