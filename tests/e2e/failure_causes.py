"""Failures of five causes, each made by a real fault, and mended."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.failed_queue import all_parked, pages
from tests.e2e.house import House
from tests.fakes.fcm import error_answer
from tests.fakes.http import Response
from tests.fakes.smtp import Answer
from tests.integration.crashing.poison import DEADLY

NO_SUCH_MAILBOX = Answer("550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table")
"""Postfix, whose table of mailboxes has got lost."""
UNREGISTERED = error_answer(404, "NOT_FOUND", code="UNREGISTERED", message="Requested entity was not found.")
INTERNAL = error_answer(500, "INTERNAL", code="INTERNAL", message="Internal error encountered.")
TEMPLATE = "shared_bill"
BROKEN_BODY = "<p>Each of you pays {{ total / guests }}.</p>"
MENDED_BODY = "<p>Each of you pays {{ (total / guests) if guests else total }}.</p>"
HELLO = {"subject": "Hello", "body": "Hello to you"}
WELL_PHONE = "phone-of-somebody-else"
BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How many failures of each cause."""

    refused: int
    template: int
    dead: int
    troubled: int
    poison: int

    @property
    def total(self) -> int:
        """Of all causes."""
        return self.refused + self.template + self.dead + self.troubled + self.poison


def shares_of(total: int) -> Shares:
    """Nine in ten for one cause."""
    refused, poison = total * 9 // 10, 5 if total >= 1000 else 2
    dead, troubled = max(2, total * 3 // 100), max(2, total * 2 // 100)
    template = total - refused - poison - dead - troubled
    return Shares(refused=refused, template=template, dead=dead, troubled=troubled, poison=poison)


@dataclass(kw_only=True)
class Failures:
    """Makes them in a house; `ids` of the notifications by kind."""

    house: House
    ids: dict[str, list[str]] = field(default_factory=dict)

    def of_all_causes(self, shares: Shares) -> dict[str, dict[str, Any]]:
        """All of them, waited for; the causes as the summary names them, by kind of error."""
        self.poison(shares.poison)
        self.tokens_dead(shares.dead)
        self.provider_in_trouble(shares.troubled)

        def meanwhile() -> None:
            self.others_are_served(min(shares.troubled, 25))
            self.poison_runs_out(shares.poison)

        all_parked(self.house, shares.dead + shares.troubled + shares.poison, meanwhile=meanwhile)
        self.mails_refused(shares.refused)
        self.template_broken(shares.template)
        found = all_parked(self.house, shares.total)
        causes = {cause["error_type"]: cause for cause in found["causes"]}
        assert len(causes) == len(found["causes"])
        return causes

    def all_but_the_tokens_mended(self) -> None:
        """The mail server, FCM, the template and the library."""
        self.house.mail.mend("rcpt")
        self.provider_mended()
        self.template_mended()
        self.house.mend_the_library()

    def mails_refused(self, count: int, *, kind: str = "refused", promotional: Sequence[int] = ()) -> None:
        """The mail server knows nobody any more. Those at the places `promotional` are advertisements."""
        self.house.mail.order_always("rcpt", NO_SUCH_MAILBOX)
        self._accept(
            kind,
            [
                _mail(f"{kind}-{n}", content=HELLO)
                | {"category": "promotional" if n in promotional else "transactional"}
                for n in range(count)
            ],
        )

    def template_broken(self, count: int) -> None:
        """It divides by the number of guests, and there are none."""
        body = {"code": TEMPLATE, "name": "Shared bill", "notification_type": "email", "language": "en"}
        self.house.post("/templates", body | {"subject": "Your bill", "body": BROKEN_BODY})
        self.house.post(f"/templates/{TEMPLATE}/versions/1/publish")
        values = {"total": 90, "guests": 0}
        self._accept(
            "template",
            [_mail(f"guest-{n}", template_code=TEMPLATE, variables=values) for n in range(count)],
        )

    def template_mended(self) -> None:
        """Another version is published."""
        body = {"language": "en", "subject": "Your bill", "body": MENDED_BODY}
        version = self.house.api.put(f"/templates/{TEMPLATE}", json=body).json()["version"]
        self.house.post(f"/templates/{TEMPLATE}/versions/{version}/publish")

    def tokens_dead(self, count: int) -> None:
        """The app was removed from these phones."""
        self._accept("dead", self._pushes([f"dead-{n}" for n in range(count)], answer=UNREGISTERED))

    def provider_in_trouble(self, count: int) -> None:
        """FCM answers 500 for these phones, each time, and goes on serving the others: they are accepted one
        by one, and so wait in another lane than those who are served."""
        entries = self._pushes([f"troubled-{n}" for n in range(count)], answer=INTERNAL)
        self.ids["troubled"] = [self.house.post("/notifications", entry)["id"] for entry in entries]

    def provider_mended(self) -> None:
        """FCM serves these phones again, and knows the dead as little as before."""
        for n in range(len(self.ids["troubled"])):
            self.house.fcm.mend(f"troubled-{n}")

    def others_are_served(self, count: int) -> None:
        """So many pushes to somebody whose phone is well."""
        self._accept("well", [_push(WELL_PHONE)] * count)

    def poison(self, count: int) -> None:
        """A defect in a library ends the process that handles these."""
        deadly = HELLO | {"body": DEADLY}
        self._accept("poison", [_mail(f"poison-{n}", content=deadly) for n in range(count)])

    def poison_runs_out(self, count: int) -> None:
        """Once all of them are under trial alone, the time passes after which a trial without an end counts
        as a death."""
        if self.house.sql("email", "SELECT count(*) FROM trials") == str(count):
            self.house.sql("email", "UPDATE trials SET held_until = clock_timestamp()")

    def ends(self, kind: str) -> Counter[tuple[str, bool]]:
        """How many of these notifications have which status, and are marked as possible duplicates."""
        wanted = set(self.ids[kind])
        ends = ((item["status"], item["possible_duplicate"]) for item in self.all() if item["id"] in wanted)
        return Counter(ends)

    def all(self) -> Iterator[dict[str, Any]]:
        """Every notification there is."""
        yield from pages(self.house, "/notifications")

    def _pushes(self, tokens: Sequence[str], *, answer: Response) -> list[dict[str, object]]:
        for token in tokens:
            self.house.fcm.order_for(token, answer)
        return [_push(token) for token in tokens]

    def _accept(self, kind: str, entries: Sequence[dict[str, object]]) -> None:
        for start in range(0, len(entries), BATCH):
            body = {"notifications": entries[start : start + BATCH]}
            answer = self.house.post("/notifications/batch", body)
            assert answer["rejected"] == 0, answer
            self.ids.setdefault(kind, []).extend(result["id"] for result in answer["results"])


def _push(token: str) -> dict[str, object]:
    return {"notification_type": "push", "to": {"push": token}, "content": HELLO}


def _mail(name: str, **fields: object) -> dict[str, object]:
    return {"notification_type": "email", "to": {"email": f"{name}@example.com"}, **fields}
