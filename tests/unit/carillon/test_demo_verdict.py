"""What turns the demo's verdict red, and that nothing else does."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from carillon.demo.arrivals import Arrival
from carillon.demo.catalogue import read_templates
from carillon.demo.letters import Letter, write_letters
from carillon.demo.outcome import Outcome
from carillon.demo.people import make_people
from carillon.demo.report import MOST_FAULTS_SHOWN, conclusion, fault_lines
from carillon.demo.sending import Accepted, Posted, Status, Turned
from carillon.demo.verdict import Expected, Kind, expect, judge
from shared.contracts.channels import Channel
from shared.process.identifiers import uuid7

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def letters(count: int = 80) -> Sequence[Letter]:
    """To several people, of all templates."""
    chance = random.Random(7)
    people = make_people(count // 4, run="unit", chance=chance)
    return write_letters(count, templates=read_templates(), people=people, run="unit", chance=chance, now=NOW)


LETTERS = letters()
EXPECTED = [expect(uuid7(), letter) for letter in LETTERS]
STATES = {each.id: "sent" for each in EXPECTED}


def arrived(expected: Expected) -> Arrival:
    """As a mail program or a phone shows it."""
    is_mail = expected.html is not None
    return Arrival(
        channel=Channel.EMAIL if is_mail else Channel.PUSH,
        message_id=f"{expected.id}.1@example.com",
        notification_id=expected.id,
        addresses=(expected.address,),
        subject=expected.subject,
        text=expected.text.replace("\n", "\r\n"),
        html=None if expected.html is None else expected.html.replace("\n", "\r\n"),
        at=NOW,
    )


ARRIVED = [arrived(each) for each in EXPECTED]


def kinds(arrivals: Sequence[Arrival]) -> list[Kind]:
    return [fault.kind for fault in judge(EXPECTED, arrivals, states=STATES)]


def of(channel: Channel) -> int:
    """The place of a letter of that channel."""
    return next(place for place, each in enumerate(ARRIVED) if each.channel is channel)


def instead(place: int, arrival: Arrival) -> list[Arrival]:
    return [*ARRIVED[:place], arrival, *ARRIVED[place + 1 :]]


both = pytest.mark.parametrize("place", [of(Channel.EMAIL), of(Channel.PUSH)], ids=["email", "push"])


def test_everything_once_and_as_it_should_be_is_no_fault() -> None:
    assert kinds(ARRIVED) == []
    assert kinds(ARRIVED[::-1]) == []


@both
def test_what_has_not_arrived_is_missing(place: int) -> None:
    states = STATES | {EXPECTED[place].id: "failed (The address was refused.)"}
    [fault] = judge(EXPECTED, ARRIVED[:place] + ARRIVED[place + 1 :], states=states)
    assert fault.kind is Kind.MISSING
    assert EXPECTED[place].address in fault.detail
    assert "The address was refused." in fault.detail


@both
def test_the_same_message_twice_is_a_duplicate(place: int) -> None:
    assert kinds([*ARRIVED, ARRIVED[place]]) == [Kind.DUPLICATE]


@both
def test_a_second_copy_under_another_message_id_is_a_duplicate(place: int) -> None:
    again = replace(ARRIVED[place], message_id=f"{EXPECTED[place].id}.2@example.com")
    assert kinds([*ARRIVED, again]) == [Kind.DUPLICATE]


@both
def test_somebody_elses_values_are_found(place: int) -> None:
    """The right person, the right language and the right template."""
    mine = LETTERS[place]
    other = replace(
        mine,
        variables={
            **mine.variables,
            **{name: "x" for name in mine.variables if "_" in name or "code" in name},
        },
    )
    wrong = replace(arrived(expect(EXPECTED[place].id, other)), addresses=(EXPECTED[place].address,))
    assert kinds(instead(place, wrong)) == [Kind.WRONG_VALUES]


@both
def test_one_letter_of_one_value_is_found(place: int) -> None:
    value = max(EXPECTED[place].values.values(), key=lambda value: value in EXPECTED[place].text)
    changed = ARRIVED[place].text.replace(value, value[:-1] + "!", 1)
    assert changed != ARRIVED[place].text
    assert kinds(instead(place, replace(ARRIVED[place], text=changed))) != []


@both
def test_another_language_is_found(place: int) -> None:
    """With every value in it."""
    mine = LETTERS[place]
    texts = dict(mine.template.texts)
    language = mine.person.locale.language
    texts[language] = texts["de" if language != "de" else "fr"]
    foreign = expect(EXPECTED[place].id, replace(mine, template=replace(mine.template, texts=texts)))
    assert kinds(instead(place, arrived(foreign))) == [Kind.WRONG_WORDS]


def test_a_value_that_is_escaped_twice_is_found_in_the_html_alone() -> None:
    place = next(place for place, each in enumerate(EXPECTED) if "&amp;" in (each.html or ""))
    html = (ARRIVED[place].html or "").replace("&amp;", "&amp;amp;")
    [fault] = judge(EXPECTED, instead(place, replace(ARRIVED[place], html=html)), states=STATES)
    assert (fault.kind, "HTML" in fault.detail) == (Kind.WRONG_WORDS, True)


@both
def test_another_address_is_found(place: int) -> None:
    strangers = replace(ARRIVED[place], addresses=("stranger@example.com",))
    assert kinds(instead(place, strangers)) == [Kind.WRONG_PERSON]
    both_of_them = replace(ARRIVED[place], addresses=(*ARRIVED[place].addresses, "stranger@example.com"))
    assert kinds(instead(place, both_of_them)) == [Kind.WRONG_PERSON]


def test_two_letters_that_changed_places_are_two_faults() -> None:
    """Each of the two people gets exactly one message."""
    one, other = [place for place, each in enumerate(LETTERS) if each.template.code == "invoice_push"][:2]
    swapped = list(ARRIVED)
    swapped[one] = replace(ARRIVED[one], addresses=ARRIVED[other].addresses)
    swapped[other] = replace(ARRIVED[other], addresses=ARRIVED[one].addresses)
    assert kinds(swapped) == [Kind.WRONG_PERSON, Kind.WRONG_PERSON]


def test_what_nobody_was_promised_is_a_fault() -> None:
    stray = replace(ARRIVED[0], notification_id=uuid7(), message_id="stray@example.com")
    assert kinds([*ARRIVED, stray]) == [Kind.UNEXPECTED]
    assert kinds([*ARRIVED, replace(stray, notification_id=None)]) == [Kind.UNEXPECTED]


@pytest.mark.parametrize("state", ["failed", "unknown", "queued", "suppressed"])
def test_what_has_arrived_and_is_not_called_sent_is_a_fault(state: str) -> None:
    faults = judge(EXPECTED, ARRIVED, states=STATES | {EXPECTED[3].id: state})
    assert [fault.kind for fault in faults] == [Kind.WRONG_STATUS]


def outcome(*, turned: int = 0, arrivals: Sequence[Arrival] = ARRIVED) -> Outcome:
    """With the last so many letters not accepted."""
    accepted = len(LETTERS) - turned
    return Outcome(
        posted=Posted(
            accepted=[
                Accepted(letter=letter, id=each.id, created_at=NOW, took_s=0.01)
                for letter, each in zip(LETTERS[:accepted], EXPECTED, strict=False)
            ],
            turned=[Turned(letter=letter, reason="HTTP 500") for letter in LETTERS[accepted:]],
            began_at=NOW.timestamp() - 2,
            ended_at=NOW.timestamp() - 1,
        ),
        statuses={each.id: Status(id=each.id, status="sent", error=None) for each in EXPECTED[:accepted]},
        arrived=arrivals,
    )


def test_what_was_not_accepted_is_a_fault_and_counted_as_failed() -> None:
    found = outcome(turned=2, arrivals=ARRIVED[:-2])
    assert [fault.kind for fault in found.faults()] == [Kind.NOT_ACCEPTED] * 2
    everything = found.figures()[-1]
    assert (everything.asked, everything.accepted, everything.sent, everything.failed) == (80, 78, 78, 2)


def test_the_figures_are_those_of_each_channel_and_of_all() -> None:
    found = outcome()
    assert found.faults() == []
    assert [(each.name, each.accepted, each.failed) for each in found.figures()] == [
        ("Email", 40, 0),
        ("Push", 40, 0),
        ("All", 80, 0),
    ]
    assert [each.delivering_for for each in found.figures()] == [2.0, 2.0, 2.0]
    assert "80 of 80" in conclusion(found, [])


def test_of_many_faults_the_first_are_shown_and_all_are_counted() -> None:
    found = outcome(arrivals=[])
    faults = found.faults()
    lines = fault_lines(faults)
    assert len(lines) == MOST_FAULTS_SHOWN + 1
    assert lines[-1] == f"… and {80 - MOST_FAULTS_SHOWN} more"
    assert conclusion(found, faults).startswith("80 faults")
