"""Whom a demo writes to, and what: no two letters alike."""

import random
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from carillon.demo.catalogue import read_templates
from carillon.demo.letters import Letter, write_letters
from carillon.demo.locales import LOCALES
from carillon.demo.people import FEWEST, MOST, make_people, people_for
from carillon.push_standin.errors import failure_for
from shared.contracts.http.users import NewDevice, NewUser

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def letters(count: int) -> Sequence[Letter]:
    chance = random.Random(count)
    people = make_people(people_for(count), run="unit", chance=chance)
    return write_letters(count, templates=read_templates(), people=people, run="unit", chance=chance, now=NOW)


def test_no_two_letters_carry_the_same_values() -> None:
    written = letters(2_000)
    assert len({letter.key for letter in written}) == 2_000
    marks = {"voucher", "code", "order_number", "invoice_number", "reference"}
    values = [letter.variables[name] for letter in written for name in marks & set(letter.variables)]
    assert len(values) == len(set(map(str, values))) == 2_000


def test_two_hundred_letters_are_of_every_kind_in_every_language() -> None:
    seen = {(letter.template.code, letter.person.locale.language) for letter in letters(200)}
    assert len(seen) == 10 * len(LOCALES)


def test_nobody_gets_the_same_template_again_before_having_had_the_others() -> None:
    for_one = [letter.template.code for letter in letters(200) if letter.person.external_id == "demo-unit-0"]
    assert len(for_one) == len(set(for_one)) == 4


@pytest.mark.parametrize(("count", "people"), [(1, FEWEST), (200, 50), (2_000, MOST), (20_000, MOST)])
def test_everybody_gets_about_four(count: int, people: int) -> None:
    assert people_for(count) == people


def test_people_can_be_made_known_and_their_devices_take_messages() -> None:
    people = make_people(MOST, run="unit", chance=random.Random(1))
    for person in people:
        NewUser(
            name=person.name,
            email=person.email,
            external_id=person.external_id,
            language=person.home.tag,
            timezone=person.home.zone,
        )
        NewDevice.model_validate({"platform": person.platform, "token": person.token})
        assert failure_for(person.token) is None
    assert len({person.email for person in people}) == len({person.token for person in people}) == MOST
    assert len({person.home.zone for person in people}) > 8


@pytest.mark.parametrize(
    ("language", "day", "amount"),
    [
        ("en", "1 March 2027", "£1,234,567.05"),
        ("de", "1. März 2027", "1.234.567,05 €"),
        ("fr", "1 mars 2027", "1\u202f234\u202f567,05 €"),
        ("es", "1 de marzo de 2027", "1.234.567,05 €"),
    ],
)
def test_dates_and_amounts_are_written_as_the_language_does(language: str, day: str, amount: str) -> None:
    assert LOCALES[language].date(date(2027, 3, 1)) == day
    assert LOCALES[language].money(123_456_705) == amount


def test_a_sign_in_is_told_in_the_time_of_the_person() -> None:
    alerts = [letter for letter in letters(400) if letter.template.event == "security_alert"]
    hours = {
        letter.person.home.zone: re.findall(r"\d\d:\d\d", str(letter.variables["time"])) for letter in alerts
    }
    assert hours["Europe/London"] == ["12:00"]
    assert hours["Europe/Berlin"] == ["13:00"]
    assert hours["America/Toronto"] == ["07:00"]
