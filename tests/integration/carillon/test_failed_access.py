"""Whom `carillon failed` asks, and as whom."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.api_answers import InDoubt, Refused
from carillon.failed.access import Access, api_for, find_access
from carillon.failed.session import complaint
from carillon.home import Home
from carillon.keys import AdminLogin
from carillon.run_record import RunRecord, write_record
from carillon.setup_error import SetupError
from tests.fakes.failed import LOGIN, FakeFailed, failed

OPERATOR = {"CARILLON_OPERATOR": ":".join(LOGIN)}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Of an installation that runs, as this process."""
    home = Home(tmp_path / "home")
    home.open()
    home.take()
    addresses = {"gateway": "http://127.0.0.1:8000"}
    write_record(
        home.run_record,
        RunRecord(pid=os.getpid(), addresses=addresses, services=[], database_url="", processes=[]),
    )
    home.write_secret("admin_email", "admin@example.com")
    home.write_secret("admin_password", "kept")
    yield home
    home.release()


def test_here_it_is_the_login_that_is_kept(home: Home) -> None:
    kept = AdminLogin(email="admin@example.com", password="kept")
    assert find_access(None, home) == Access(url="http://127.0.0.1:8000", login=kept, elsewhere=False)


def test_the_kept_login_never_goes_elsewhere(home: Home) -> None:
    with pytest.raises(SetupError, match="Say who asks"):
        find_access("http://elsewhere", home)


def test_the_environment_says_who(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setenv("CARILLON_API_KEY", "ck_live_x")
    monkeypatch.setenv("CARILLON_URL", "https://notify.example.com/carillon/api/v1")
    assert find_access(None, home) == Access(url="https://notify.example.com/carillon", api_key="ck_live_x")
    monkeypatch.setenv("CARILLON_OPERATOR", "ann@example.com:a:b")
    login = AdminLogin(email="ann@example.com", password="a:b")
    assert find_access("http://other", home) == Access(url="http://other", login=login)


def test_no_secret_is_in_what_is_printed_of_it(home: Home) -> None:
    assert "kept" not in repr(find_access(None, home))


def test_nothing_that_runs_is_a_sentence(tmp_path: Path) -> None:
    done = failed("list", CARILLON_HOME=str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is not running" in done.stderr
    assert "CARILLON_URL" in done.stderr


def test_an_account_logs_in_and_out(api: FakeFailed, monkeypatch: pytest.MonkeyPatch) -> None:
    done = failed("list", CARILLON_URL=api.url, **OPERATOR)
    assert done.exit_code == 0
    assert [what for what, _ in api.asked] == ["POST /auth/token", "GET /failed", "POST /auth/logout"]
    assert api.tokens == []


def test_a_wrong_password_is_a_sentence_without_it(api: FakeFailed) -> None:
    done = failed("list", CARILLON_URL=api.url, CARILLON_OPERATOR="ann@example.com:hunter2")
    assert done.exit_code == 1
    assert "This is not the password. Check CARILLON_OPERATOR" in done.stderr
    assert "hunter2" not in done.output


async def test_a_token_that_is_over_is_renewed_and_the_request_repeated(api: FakeFailed) -> None:
    access = Access(url=api.url, login=AdminLogin(email=LOGIN[0], password=LOGIN[1]))
    async with api_for(access) as asking:
        api.tokens.append("another login's")
        answer = await asking.get("/failed")
    assert answer.is_success
    assert (api.logins, len(api.bodies("POST /auth/refresh"))) == (1, 1)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (Refused(0, "no answer (ConnectError)"), "The gateway at http://g gives no answer (ConnectError)."),
        (Refused(403, "This needs failed:read.", correlation_id="c-1"), "(correlation id c-1)"),
        (Refused(502, ""), "HTTP 502."),
        (InDoubt(0, "no answer (ReadError)"), "It may have been done, or not"),
    ],
)
def test_whatever_the_network_does_is_a_sentence(refused: Refused, words: str) -> None:
    assert words in complaint(refused, "http://g")
