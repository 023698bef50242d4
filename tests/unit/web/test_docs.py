"""/docs works on a machine without the Internet."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from shared.web import docs
from tests.unit.web.demo import client_of, demo_app

STATIC = Path(docs.__file__).parent / "static"


class References(HTMLParser):
    """What a page has a browser load, and whether anything in it is inline script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline_script = ""
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note src and href."""
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value]
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        """Note what stands in a script."""
        self.inline_script += data.strip() if self._in_script else ""


async def test_everything_the_page_loads_comes_from_here() -> None:
    async with client_of(demo_app()) as client:
        page = await client.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        references = References(page.text)
        assert len(references.loaded) >= 4
        for reference in references.loaded:
            assert reference == "data:," or not re.match(r"[a-z]+:|//", reference), reference
            if reference != "data:,":
                file = await client.get(urljoin("/docs", reference))
                assert file.status_code == 200, reference
                assert len(file.content) > 100
        assert references.inline_script == ""
        assert not re.search(r"https?:", (await client.get("/docs/docs.js")).text)


async def test_the_browser_is_told_to_ask_nobody_else() -> None:
    async with client_of(demo_app()) as client:
        policy = (await client.get("/docs")).headers["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert set(re.findall(r"\S+", " ".join(rules.values()))) <= {
        "'none'",
        "'self'",
        "'unsafe-inline'",
        "data:",
    }


async def test_no_style_is_loaded_from_elsewhere() -> None:
    async with client_of(demo_app()) as client:
        style = (await client.get("/docs/swagger-ui.css")).text
    assert [
        url for url in re.findall(r"url\(\s*[\"']?([^\"')]{0,8})", style) if not url.startswith("data:")
    ] == []
    assert "@import" not in style


@pytest.mark.parametrize("name", ["docs.py", "..%2Fdocs.py", "swagger-ui.NOTICE.txt", "nothing"])
async def test_nothing_else_is_served(name: str) -> None:
    async with client_of(demo_app()) as client:
        assert (await client.get(f"/docs/{name}")).status_code == 404


def test_swagger_ui_is_as_it_was_published() -> None:
    listed = re.findall(
        r"^([0-9a-f]{64})  (.+)$", (STATIC / "swagger-ui.NOTICE.txt").read_text(), re.MULTILINE
    )
    assert len(listed) == 2
    for digest, name in listed:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
