"""Text that stands on one line: names and subjects."""

import unicodedata

from pydantic_core import PydanticCustomError

_BREAKS = frozenset({"Cc", "Zl", "Zp"})
"""Control characters (U+0085, next line, is one), the line and the paragraph separator."""
_INVISIBLE = frozenset({"Cf", "Zs"})


def one_line(value: str) -> str:
    """The value as it came. Raises a pydantic error where it has a line break or a control character, and
    where nothing of it can be seen: a zero-width space is no name."""
    categories = {unicodedata.category(character) for character in value}
    if categories & _BREAKS:
        raise PydanticCustomError("control_character", "This is one line, without control characters")
    if categories <= _INVISIBLE:
        raise PydanticCustomError("invisible", "Nothing of this can be seen")
    return value
