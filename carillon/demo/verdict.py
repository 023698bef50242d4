"""The verdict: is every accepted notification there exactly once, for the right person, with its own words?

Pure. What has to have arrived is rendered with Jinja2 as it comes, and not by Carillon's own renderer, which
is one of the things on trial.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from uuid import UUID

import jinja2
from pydantic import JsonValue

from carillon.demo.arrivals import Arrival
from carillon.demo.letters import Letter

SENT = frozenset({"sent", "delivered"})
"""Statuses of what the provider has taken."""
_SHOWN_CHARACTERS = 60


class Kind(StrEnum):
    """What can be wrong."""

    NOT_ACCEPTED = "not accepted"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    UNEXPECTED = "unexpected"
    WRONG_PERSON = "wrong person"
    WRONG_VALUES = "wrong values"
    WRONG_WORDS = "wrong words"
    WRONG_STATUS = "wrong status"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong, said to a person."""

    kind: Kind
    detail: str


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a notification that was accepted has to arrive as. `values`: its variables, written out."""

    id: UUID
    label: str
    address: str
    subject: str
    text: str
    html: str | None
    values: Mapping[str, str]


def expect(notification_id: UUID, letter: Letter) -> Expected:
    """What `letter` has to arrive as."""
    language = letter.person.locale.language
    words = letter.template.texts[language]
    is_html = words.text_body is not None
    return Expected(
        id=notification_id,
        label=f"{letter.template.code} ({language}) to {letter.address}",
        address=letter.address,
        subject=_rendered(words.subject, letter.variables),
        text=_rendered(words.text_body or words.body, letter.variables),
        html=_rendered(words.body, letter.variables, escape=True) if is_html else None,
        values=dict(_written("", letter.variables)),
    )


def judge(
    expected: Sequence[Expected], arrivals: Sequence[Arrival], *, states: Mapping[UUID, str]
) -> list[Fault]:
    """Everything that is wrong; empty where all is well. `states`: what Carillon itself says, by id."""
    faults: list[Fault] = []
    by_id: defaultdict[UUID | None, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_id[arrival.notification_id].append(arrival)
    for each in expected:
        copies = by_id.pop(each.id, [])
        state = states.get(each.id, "nothing")
        if not copies:
            faults.append(_fault(Kind.MISSING, each, f"Carillon says: {state}"))
            continue
        if len(copies) > 1:
            ids = ", ".join(sorted({copy.message_id for copy in copies}))
            faults.append(_fault(Kind.DUPLICATE, each, f"{len(copies)} times, as {ids}"))
        faults += [fault for copy in copies if (fault := _misfit(each, copy)) is not None]
        if state not in SENT:
            faults.append(_fault(Kind.WRONG_STATUS, each, f"it has arrived, but Carillon says: {state}"))
    for strays in by_id.values():
        faults += [
            Fault(
                kind=Kind.UNEXPECTED,
                detail=f"{stray.message_id} to {', '.join(stray.addresses)}: nobody was told that it is sent",
            )
            for stray in strays
        ]
    return faults


def _misfit(expected: Expected, arrival: Arrival) -> Fault | None:
    """The first thing about one message that is not as it has to be."""
    if arrival.addresses != (expected.address,):
        return _fault(Kind.WRONG_PERSON, expected, f"it went to {', '.join(arrival.addresses) or 'nobody'}")
    wanted, got = f"{expected.subject}\n{expected.text}", f"{arrival.subject}\n{_lines(arrival.text)}"
    lost = [name for name, value in expected.values.items() if value in wanted and value not in got]
    if lost:
        return _fault(
            Kind.WRONG_VALUES, expected, f"not its own {', '.join(lost)}: {_difference(wanted, got)}"
        )
    if wanted.strip() != got.strip():
        return _fault(Kind.WRONG_WORDS, expected, _difference(wanted, got))
    html, got_html = expected.html or "", _lines(arrival.html or "")
    if html.strip() != got_html.strip():
        return _fault(Kind.WRONG_WORDS, expected, f"HTML: {_difference(html, got_html)}")
    return None


def _fault(kind: Kind, expected: Expected, words: str) -> Fault:
    return Fault(kind=kind, detail=f"{expected.id} {expected.label}: {words}")


def _difference(wanted: str, got: str) -> str:
    """The first line that is another."""
    left, right = wanted.strip().split("\n"), got.strip().split("\n")
    for one, other in zip(left, right, strict=False):
        if one != other:
            return f"{_cut(other)} instead of {_cut(one)}"
    return f"{len(right)} lines instead of {len(left)}"


def _cut(line: str) -> str:
    line = line.strip()
    return f"“{line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + '…'}”"


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _written(name: str, value: JsonValue) -> Iterable[tuple[str, str]]:
    """Every text and number in `value`, by its path. A number alone occurs anywhere, and proves nothing."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _written(f"{name}.{key}".lstrip("."), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _written(f"{name}.{index}", item)
    elif isinstance(value, str):
        yield name, value


def _rendered(source: str, variables: Mapping[str, JsonValue], *, escape: bool = False) -> str:
    return _compiled(source, escape).render(variables)


@cache
def _compiled(source: str, escape: bool) -> jinja2.Template:
    # Subject and text are plain text: escaping them would be the mistake.
    environment = jinja2.Environment(autoescape=escape, undefined=jinja2.StrictUndefined)  # noqa: S701
    return environment.from_string(source)
