"""What pages load is ours or vendored as it came, and no template can break the policy."""

import hashlib
import re
from pathlib import Path

import pytest

import gateway_service.console
from gateway_service.console.guard import POLICY
from gateway_service.console.statics import Statics
from tests.unit.console.requests import a_request

FOLDER = Path(gateway_service.console.__file__).parent
VENDOR = FOLDER / "static" / "vendor"
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
ROW = re.compile(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", re.MULTILINE)


def test_vendored_files_are_those_that_the_list_names() -> None:
    listed = dict(ROW.findall((VENDOR / "README.md").read_text()))
    there = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    assert set(listed) == there
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_no_vendored_file_is_without_its_licence() -> None:
    for path in VENDOR.glob("*.min.*"):
        assert (VENDOR / f"{path.name.partition('.')[0]}.LICENSE.txt").stat().st_size > 100


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_anything_inline_or_unescaped(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|\shx-on|javascript:|\bjs:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_files_are_kept_for_good_under_an_address_that_names_their_content() -> None:
    statics = Statics()
    url = statics.url("console.css")
    assert statics.version in url
    answer = statics.answer(a_request(), statics.version, "console.css")
    assert "immutable" in answer.headers["cache-control"]
    older = statics.answer(a_request(accept_encoding="gzip, br"), "000000000000", "console.css")
    assert older.headers["cache-control"] == "no-cache"
    assert older.headers["content-encoding"] == "gzip"
    assert len(older.body) < len(answer.body)
