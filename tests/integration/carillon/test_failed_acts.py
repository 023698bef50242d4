"""`carillon failed` against the API over real HTTP: what it does, and what it says where it cannot."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from carillon.api import Api
from carillon.api_answers import Refused
from carillon.failed.following import Pace, follow
from carillon.failed.screen import Screen
from shared.contracts.http.failures import FailureStatus
from shared.contracts.http.reprocessing import DryRun
from shared.process.identifiers import uuid7
from tests.fakes.failed import FakeFailed, failed, problem
from tests.fakes.failures import CAUSE, OTHER_CAUSE, a_job, aged
from tests.fakes.http import FakeHttpServer, Request, Reset
from tests.fakes.http import Response as RawResponse

KEY = {"CARILLON_API_KEY": "ck_live_x"}

# ---------------------------------------------------------------- sending again


def test_one_is_sent_again_with_changes(api: FakeFailed, tmp_path: Path) -> None:
    (tmp_path / "variables.json").write_text('{"name": "Bob"}')
    changes = (
        "--to",
        "email=bob@example.com",
        "--template",
        "hello",
        "--variables",
        f"@{tmp_path}/variables.json",
    )
    done = failed("reprocess", api.failures[0].id, *changes)
    assert done.exit_code == 0
    assert api.bodies(f"POST /failed/{api.failures[0].id}/reprocess") == [
        {
            "changes": {
                "to": {"email": "bob@example.com"},
                "template_code": "hello",
                "variables": {"name": "Bob"},
            }
        }
    ]


def test_nobody_to_ask_and_no_yes_sends_nothing(api: FakeFailed) -> None:
    done = failed("reprocess", "--cause", CAUSE)
    assert (done.exit_code, "--yes" in done.stderr) == (2, True)
    assert "3  would be sent again" in done.stderr
    assert [body["dry_run"] for body in api.bodies("POST /failed/reprocess")] == [True]


def test_many_are_looked_at_then_sent_then_watched_to_the_end(api: FakeFailed) -> None:
    api.steps = [
        a_job(status="running", phase="first_batch", released=2, sent=0, in_flight=2),
        a_job(status="running", released=9, sent=2, in_flight=7),
        a_job(in_flight=3, sent=6),
        a_job(),
    ]
    done = failed("reprocess", "--cause", CAUSE, "--per-second", 200, "--skip-likely-duplicates", "--yes")
    looked, started = api.bodies("POST /failed/reprocess")
    assert done.exit_code == 0, done.stderr
    assert (looked.pop("dry_run"), started.pop("dry_run")) == (True, False)
    assert looked == started
    assert (started["per_second"], started["skip_likely_duplicates"]) == (200.0, True)
    assert started["filter"]["cause"] == CAUSE
    assert len(api.steps) == 1, "watched until nothing was on its way"
    assert "9 arrived" in done.stdout


def test_what_fails_after_the_look_is_not_sent(api: FakeFailed) -> None:
    failed("reprocess", "--cause", CAUSE, "--yes", "--detach")
    [_, started] = api.bodies("POST /failed/reprocess")
    late = aged(-1)
    newest = api.failures[2].created_at
    assert newest.isoformat()[:19] < started["filter"]["until"] < late.created_at.isoformat()


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ({"status": "stopped", "reason": "8 of 10 failed again"}, "8 of 10 failed again"),
        ({"failed_again": 2, "sent": 7}, "2 failed again"),
        ({"status": "cancelled"}, "cancelled"),
    ],
)
def test_a_job_that_did_not_send_all_ends_with_1(
    api: FakeFailed, ending: dict[str, object], words: str
) -> None:
    api.steps = [a_job(**ending)]
    done = failed("jobs", uuid7(), "--follow")
    assert done.exit_code == 1
    assert words in done.output


def test_a_dry_run_sends_nothing(api: FakeFailed) -> None:
    api.found = DryRun(
        matching=9000, examined=9000, unreadable=1, expired=20, busy=3, opted_out=None, would_send=8976,
        likely_duplicates=5,
    )  # fmt: skip
    done = failed("reprocess", "--until", "now", "--dry-run")
    assert done.exit_code == 0
    for words in (
        "8,976  would be sent",
        "5  of these look like duplicates",
        "20  have expired",
        "not known",
    ):
        assert words in done.stdout
    assert json.loads(failed("reprocess", "--until", "now", "--dry-run", "--json").stdout)["expired"] == 20
    assert all(body["dry_run"] for body in api.bodies("POST /failed/reprocess"))


@pytest.mark.parametrize("act", ["pause", "resume", "cancel"])
def test_a_job_is_told(api: FakeFailed, act: str) -> None:
    job = uuid7()
    assert failed(act, job).exit_code == 0
    assert api.bodies(f"POST /failed/jobs/{job}/{act}") == [{}]


# ---------------------------------------------------------------- discarding


def test_one_is_discarded_with_its_reason(api: FakeFailed) -> None:
    done = failed("discard", api.failures[0].id, "--reason", "cancelled by telephone")
    assert (done.exit_code, api.failures[0].status) == (0, FailureStatus.DISCARDED)
    assert api.bodies(f"POST /failed/{api.failures[0].id}/discard") == [{"reason": "cancelled by telephone"}]


def test_many_are_discarded_in_chunks_and_nothing_else(api: FakeFailed) -> None:
    api.failures += [aged(1) for _ in range(5)]
    done = failed("discard", "--cause", CAUSE, "--reason", "withdrawn", "--yes")
    assert (done.exit_code, "8 are discarded" in done.stderr) == (0, True)
    left = [each for each in api.failures if each.status is FailureStatus.OPEN]
    assert {each.cause for each in left} == {OTHER_CAUSE}


def test_many_are_not_discarded_unasked(api: FakeFailed) -> None:
    assert failed("discard", "--cause", CAUSE, "--reason", "withdrawn").exit_code == 2
    assert api.bodies("POST /failed/discard") == []


# ---------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reprocess",), "--until now"),
        (("reprocess", uuid7(), "--cause", CAUSE), "either one failure"),
        (("reprocess", "--cause", CAUSE, "--to", "email=a@example.com"), "name it"),
        (("reprocess", uuid7(), "--to", "email=nobody"), "--to"),
        (("reprocess", uuid7(), "--variables", "[1]"), "JSON object"),
        (("reprocess", uuid7(), "--variables", "@/nowhere"), "No such file"),
        (("reprocess", "--cause", "short", "--yes"), "--cause"),
        (("discard", "--reason", "x"), "--until now"),
        (("discard", uuid7(), "--reason", " "), "--reason"),
        (("list", "--since", "yesterday"), "--since"),
        (("list", "--url", "ftp://host"), "http://"),
        (("list", "--url", "http://[::1"), "http://"),
        (("list", "--url", "http://host:99999"), "http://"),
        (("list", "--url", "http://é..com"), "http://"),
        (("list", "--url", "http://ann:secret@host"), "CARILLON_OPERATOR"),
        (("jobs", "--follow"), "Name the job"),
        (("export", "-o", "/dev/null"), "no ordinary file"),
        (("export", "-o", "/nowhere/x"), "No such file"),
    ],
)
def test_wrong_use_is_one_sentence_and_changes_nothing(
    api: FakeFailed, arguments: tuple[object, ...], words: str
) -> None:
    done = failed(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert "secret" not in done.stderr
    assert [what for what, _ in api.asked if what.startswith("POST")] == []


# ---------------------------------------------------------------- refusals


def test_a_refusal_is_a_sentence_with_its_correlation_id(api: FakeFailed) -> None:
    id_ = api.failures[0].id
    api.problems[f"POST /failed/{id_}/reprocess"] = [
        problem(409, "It was sent again already.", kind="not_open")
    ]
    done = failed("reprocess", id_)
    assert done.exit_code == 1
    assert done.stderr == "It was sent again already. (correlation id corr-1)\n"


def test_not_now_is_asked_again_but_an_act_only_where_nothing_was_done(api: FakeFailed) -> None:
    id_ = api.failures[0].id
    again = {"Retry-After": "0"}
    api.problems["GET /failed"] = [problem(503, "Not now.", **again)]
    assert failed("list").exit_code == 0
    api.problems[f"POST /failed/{id_}/discard"] = [
        problem(429, "Too many.", **again),
        problem(503, "Perhaps.", **again),
    ]
    done = failed("discard", id_, "--reason", "x")
    assert done.exit_code == 1
    assert "It may have been done, or not" in done.stderr
    assert len(api.bodies(f"POST /failed/{id_}/discard")) == 2


async def test_a_gateway_that_is_away_for_a_while_is_waited_for(api: FakeFailed) -> None:
    api.steps = [a_job(status="running", released=1, in_flight=1), a_job()]
    console = Console(file=io.StringIO())
    asking = Api(api.url, "ck_live_x", tries=1, connections=1)
    api.problems[f"GET /failed/jobs/{api.steps[0].id}"] = [
        problem(503, "Starting."),
        problem(502, "Starting."),
    ]
    pace = Pace(first_look_s=0.001, look_every_s=0.001)
    answer = await follow(asking, api.steps[0].id, screen=Screen(out=console, err=console), pace=pace)
    await asking.close()
    assert json.loads(answer.body)["status"] == "completed"


async def test_a_gateway_that_stays_away_leaves_the_job_and_says_how_to_come_back() -> None:
    words = io.StringIO()
    asking = Api("http://127.0.0.1:1", "ck_live_x", tries=1, connections=1)
    screen, pace = Screen(err=Console(file=words, width=200)), Pace(first_look_s=0.001, away_s=0.01)
    with pytest.raises(Refused):
        await follow(asking, uuid7(), screen=screen, pace=pace)
    await asking.close()
    assert "--follow" in words.getvalue()


def test_a_proxy_that_cannot_be_used_is_a_sentence(api: FakeFailed) -> None:
    done = failed("list", CARILLON_URL="http://gateway.example.com", ALL_PROXY="socks5://127.0.0.1:9")
    assert (done.exit_code, "proxy" in done.stderr) == (2, True)


async def test_an_act_without_an_answer_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def cut(request: Request) -> Reset:
        asked.append(request.path)
        return Reset()

    done = await against(monkeypatch, cut, "discard", uuid7(), "--reason", "x")
    assert (done.exit_code, len(asked)) == (1, 1)
    assert "It may have been done, or not" in done.stderr


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"items": 5, "next_cursor": null}', b'{"items": [{}], "next_cursor": null}']
)
async def test_an_answer_that_is_not_ours_is_a_sentence(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    async def answer(_: Request) -> RawResponse:
        return RawResponse(status=200, body=body)

    done = await against(monkeypatch, answer, "list")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)


async def against(monkeypatch: pytest.MonkeyPatch, handler: object, *arguments: object) -> Result:
    """Run it beside a server that may misbehave."""
    async with FakeHttpServer(handler) as server:  # type: ignore[arg-type]
        environment = {"CARILLON_URL": server.url, **KEY}
        return await asyncio.to_thread(failed, *arguments, **environment)
