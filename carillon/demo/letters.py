"""What is to be sent: a template, a person, and variables that no other letter has."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from carillon.demo.catalogue import DemoTemplate
from carillon.demo.people import Person

Variables = dict[str, JsonValue]
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_BROWSERS = ("Firefox", "Chrome", "Safari", "Edge")
_SYSTEMS = ("Windows", "macOS", "Linux", "Android", "iOS")
_SITE = "https://larkfield.example"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One notification to be asked for. `key` is its idempotency key."""

    key: str
    template: DemoTemplate
    person: Person
    variables: Variables

    @property
    def address(self) -> str:
        """Where it has to arrive."""
        return self.person.email if self.template.channel == "email" else self.person.token


@dataclass(frozen=True, kw_only=True)
class _Moment:
    """What the variables of one letter are made from."""

    person: Person
    chance: random.Random
    now: datetime

    def code(self, *lengths: int) -> str:
        """A number that no other letter has, such as `K7QM-2F9X`: 40 bits for eight letters."""
        return "-".join("".join(self.chance.choices(_LETTERS, k=length)) for length in lengths)

    def day(self, first: int, last: int) -> str:
        """A day so many days ahead."""
        return self.person.locale.date((self.now + timedelta(days=self.chance.randint(first, last))).date())

    def device(self) -> str:
        return self.person.locale.device_form.format(
            browser=self.chance.choice(_BROWSERS), system=self.chance.choice(_SYSTEMS)
        )

    def articles(self) -> Sequence[tuple[str, int]]:
        """One to three, and how many of each."""
        chosen = self.chance.sample(self.person.locale.articles, self.chance.randint(1, 3))
        return [(article, self.chance.randint(1, 4)) for article in chosen]

    def page(self, path: str) -> str:
        return f"{_SITE}/{self.person.locale.language}/{path}"


def write_letters(
    count: int,
    *,
    templates: Sequence[DemoTemplate],
    people: Sequence[Person],
    run: str,
    chance: random.Random,
    now: datetime,
) -> Sequence[Letter]:
    """`count` letters: people in turn, and each person another template with each round."""
    letters = []
    for number in range(count):
        person = people[number % len(people)]
        template = templates[(number + number // len(people)) % len(templates)]
        moment = _Moment(person=person, chance=chance, now=now)
        variables: Variables = {"name": person.name, **_EVENTS[template.event](moment)}
        letters.append(
            Letter(key=f"demo-{run}-{number}", template=template, person=person, variables=variables)
        )
    return letters


def _welcome(moment: _Moment) -> Variables:
    return {
        "voucher": moment.code(4, 4),
        "voucher_value": moment.person.locale.money(100 * moment.chance.randint(5, 25)),
        "valid_until": moment.day(30, 90),
        "start_url": moment.page("account"),
    }


def _password_reset(moment: _Moment) -> Variables:
    return {
        "code": moment.code(4, 4),
        # An ampersand, so that a link which is escaped wrongly is seen.
        "reset_url": moment.page(f"password?token={moment.code(26)}&from=mail"),
        "valid_minutes": moment.chance.choice((15, 30, 60)),
        "device": moment.device(),
        "place": moment.person.home.city,
    }


def _order_shipped(moment: _Moment) -> Variables:
    tracking = moment.code(12)
    items: list[JsonValue] = [{"title": title, "quantity": number} for title, number in moment.articles()]
    return {
        "order_number": f"L-{moment.code(8)}",
        "items": items,
        "carrier": moment.chance.choice(moment.person.locale.carriers),
        "tracking_number": tracking,
        "tracking_url": f"https://parcels.example/{tracking}?lang={moment.person.home.tag}&z=1",
        "arrives_on": moment.day(2, 6),
        "city": moment.person.home.city,
    }


def _invoice(moment: _Moment) -> Variables:
    locale = moment.person.locale
    net = 0
    lines: list[JsonValue] = []
    for title, quantity in moment.articles():
        amount = quantity * moment.chance.randint(350, 65_000)
        net += amount
        lines.append({"title": title, "quantity": quantity, "amount": locale.money(amount)})
    vat = round(net * locale.vat_percent / 100)
    number = moment.code(8)
    return {
        "invoice_number": f"{moment.now.year}-{number}",
        "issued_on": locale.date(moment.now.date()),
        "due_on": moment.day(14, 30),
        "lines": lines,
        "net": locale.money(net),
        "vat_percent": locale.vat_percent,
        "vat": locale.money(vat),
        "total": locale.money(net + vat),
        "invoice_url": moment.page(f"invoices/{number}"),
    }


def _security_alert(moment: _Moment) -> Variables:
    at = moment.now.astimezone(ZoneInfo(moment.person.home.zone))
    return {
        "reference": f"S-{moment.code(8)}",
        "device": moment.device(),
        "place": moment.person.home.city,
        "time": moment.person.locale.time(at),
        "secure_url": moment.page("account/sessions"),
    }


_EVENTS: Mapping[str, Callable[[_Moment], Variables]] = {
    "welcome": _welcome,
    "password_reset": _password_reset,
    "order_shipped": _order_shipped,
    "invoice": _invoice,
    "security_alert": _security_alert,
}
