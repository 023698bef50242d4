"""The plain-text part of a mail, made from its HTML: what is sent, and what a preview shows."""

import re

from inscriptis import get_text
from inscriptis.model.config import ParserConfig

_PADDING = re.compile(r"[ \t\u00a0]+(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n{3,}")
_GAPS = re.compile(r"(?<=\S)[ \t]{3,}")
# Links are written out: a text part without them could not carry a password reset.
_STYLE = ParserConfig(display_links=True)


def text_of(html: str) -> str:
    """`html` as text that ends with a line break."""
    # inscriptis pads table cells and keeps the blank lines of nested layout tables.
    text = _GAPS.sub("  ", _PADDING.sub("", get_text(html, _STYLE)))
    return _BLANK_LINES.sub("\n\n", text).strip("\n") + "\n"
