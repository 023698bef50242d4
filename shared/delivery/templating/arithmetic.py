"""Operations whose result can be far larger than what goes into them: looked at before they are done."""

import re
from typing import Any

from jinja2.exceptions import SecurityError

from shared.delivery.templating.meter import MAX_CHARACTERS, Meter, TooExpensive

MAX_INTEGER_BITS = 256
_MAX_WIDTH = 999
_PRINTF = re.compile(r"%(?:%|(?:\([^()]{1,64}\))?[-+ #0]{0,4}[0-9]{0,3}(?:\.[0-9]{0,2})?[sdifFeEgGxXo])")


def check_size(value: Any) -> None:
    """Raises TooExpensive for a number that takes long to calculate with."""
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise TooExpensive("a number gets too large")


def check_power(base: Any, exponent: Any) -> None:
    """Raises TooExpensive before a power is taken that would be too large."""
    both = isinstance(base, int) and isinstance(exponent, int)
    if both and base.bit_length() * max(exponent, 0) > MAX_INTEGER_BITS:
        raise TooExpensive("a number gets too large")


def check_product(left: Any, right: Any) -> None:
    """Raises TooExpensive before a text or a list is repeated too often."""
    if isinstance(left, int):
        left, right = right, left
    if isinstance(left, str | list | tuple) and isinstance(right, int) and len(left) * right > MAX_CHARACTERS:
        raise TooExpensive("a repetition gets too long")


def formatted(template: str, values: object, meter: Meter) -> str:
    """`template % values` for plain values, with widths of at most 999 characters.

    Raises SecurityError for anything else printf knows, TooExpensive, ValueError and TypeError as `%` does.
    """
    rest, places = _PRINTF.subn("", template)
    if "%" in rest:
        raise SecurityError("the format has something in it that is not available")
    if isinstance(values, dict):
        plain = list(values.values())
    else:
        plain = list(values) if isinstance(values, tuple) else [values]
    if not all(value is None or isinstance(value, str | int | float) for value in plain):
        raise SecurityError("only text and numbers can be formatted")
    longest = max((len(value) for value in plain if isinstance(value, str)), default=0)
    meter.spend_text(len(template) + places * (_MAX_WIDTH + longest))
    return template % values
