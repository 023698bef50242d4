"""Where the console's pages are, and where a login may lead back to."""

import re
from urllib.parse import SplitResult, quote, urlsplit

ROOT = "/console"
LOGIN = f"{ROOT}/login"
LOGOUT = f"{ROOT}/logout"
LIVE = f"{ROOT}/live"
STATIC = f"{ROOT}/static"
FORMS = f"{ROOT}/"
"""Below it, bodies are forms."""
_LONGEST = 2_000
_OUR_PAGE = re.compile(rf"{ROOT}(?:[/?][\x21\x23-\x5b\x5d-\x7e]*)?")
"""Visible ASCII without quotation mark and backslash, which browsers read as a slash."""
_ACTS = frozenset({"reprocess", "discard", "resolve", "pause", "resume", "cancel"})
_NOT_TO = (LOGIN, LOGOUT, LIVE, STATIC)


def is_ours(path: str) -> bool:
    """Whether it is the console's to answer."""
    return path == ROOT or path.startswith(FORMS)


def page_of(path: str) -> str:
    """The page that has the form which is sent to `path`; any other path is its own."""
    if path == LOGOUT:
        return ROOT
    page, _, act = path.rpartition("/")
    return page if act in _ACTS else path


def parts_of(url: str) -> SplitResult | None:
    """Of a header of the request; None where it is not readable."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def return_path(asked: str | None) -> str:
    """`asked`, where that is one of the console's own pages, else the first page. What comes from outside is
    never followed to another host, nor out of the console."""
    if asked is None or len(asked) > _LONGEST or not _OUR_PAGE.fullmatch(asked):
        return ROOT
    path = asked.partition("?")[0].lower()
    # Browsers resolve both spellings of dots, and an empty segment would begin a host's name elsewhere.
    if "//" in path or any(part.replace("%2e", ".") in {".", ".."} for part in path.split("/")):
        return ROOT
    return ROOT if path.startswith(_NOT_TO) else asked


def login_path(back_to: str) -> str:
    """The login, and afterwards back."""
    target = return_path(back_to)
    return LOGIN if target == ROOT else f"{LOGIN}?next={quote(target, safe='')}"
