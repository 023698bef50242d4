"""The people a demo writes to: made up, with names, languages and time zones as they are in the world."""

import random
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from carillon.demo.locales import LOCALES, Locale, Place

FEWEST, MOST = 4, 500
_PLATFORMS = ("android", "ios")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody to write to. `token` is that of a device; it names no failure to the push stand-in."""

    external_id: str
    name: str
    email: str
    home: Place
    locale: Locale
    platform: str
    token: str


def people_for(notifications: int) -> int:
    """How many people so many notifications go to: everybody gets about four, of several kinds."""
    return max(FEWEST, min(notifications // 4, MOST))


def make_people(count: int, *, run: str, chance: random.Random) -> Sequence[Person]:
    """`count` of them, the languages in turn. `run` keeps those of one demo apart from those of another."""
    locales = tuple(LOCALES.values())
    return [_person(number, locales[number % len(locales)], run, chance) for number in range(count)]


def _person(number: int, locale: Locale, run: str, chance: random.Random) -> Person:
    name = f"{chance.choice(locale.given_names)} {chance.choice(locale.family_names)}"
    return Person(
        external_id=f"demo-{run}-{number}",
        name=name,
        email=f"{_plain(name)}.{run}.{number}@example.com",
        home=chance.choice(locale.homes),
        locale=locale,
        platform=chance.choice(_PLATFORMS),
        token=f"demo-{run}-{number}-{chance.getrandbits(96):024x}",
    )


def _plain(name: str) -> str:
    """`Zoë O'Brien` as `zoe.obrien`."""
    latin = name.lower().replace("ß", "ss").replace("\N{LATIN SMALL LETTER DOTLESS I}", "i")
    letters = unicodedata.normalize("NFKD", latin)
    kept = "".join(each for each in letters if each.isascii() and (each.isalnum() or each == " "))
    return kept.replace(" ", ".")
