"""`carillon failed` against the API over real HTTP: what it shows and writes."""

import base64
import json
import re
import stat
from pathlib import Path

import pytest

from shared.contracts.http.failures import RawMessage
from tests.fakes.failed import FakeFailed, failed, problem
from tests.fakes.failures import CAUSE, OTHER_CAUSE, a_failure, a_message

# ---------------------------------------------------------------- looking


def test_a_list_in_a_pipe_has_a_line_for_each_and_no_colours(api: FakeFailed) -> None:
    done = failed("list", "--cause", CAUSE)
    names, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert done.exit_code == 0
    assert [row["id"] for row in rows] == [str(each.id) for each in reversed(api.failures[:3])]
    assert rows[0]["error"] == "554 5.7.1 Relay access denied"
    assert rows[0]["created_at"] == "2030-01-31T01:00:00Z"
    assert rows[0]["closed_at"] == "-"


@pytest.mark.parametrize("command", ["list", "summary", "jobs", "audit"])
def test_a_table_fits_into_eighty_columns_and_keeps_its_names_whole(api: FakeFailed, command: str) -> None:
    api.failures.append(a_failure(error="a very long error " * 20, template_code="t" * 64, cause="f" * 32))
    done = failed(command, FORCE_COLOR="1", COLUMNS="80", TERM="xterm")
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert done.exit_code == 0
    assert max(len(line) for line in text.splitlines()) <= 80
    whole = {
        "list": str(api.failures[-1].id),
        "summary": "f" * 32,
        "jobs": str(api.steps[0].id),
        "audit": "failure",
    }
    assert whole[command] in text


def test_a_server_cannot_steer_the_terminal(api: FakeFailed) -> None:
    api.failures[:] = [a_failure(error="554 \x1b]0;gone\x07\u202e denied\nmore", stack="x\x9b2J")]
    for arguments in (("list",), ("summary",), ("show", api.failures[0].id)):
        done = failed(*arguments)
        assert done.exit_code == 0
        assert not set(done.stdout) & set("\x1b\x07\u202e\x9b")
        assert r"\x1b" in done.stdout


def test_one_is_shown_with_its_message_attempts_and_error(api: FakeFailed) -> None:
    failure = api.failures[0]
    done = failed("show", failure.id)
    assert done.exit_code == 0
    for words in (
        str(failure.notification_id),
        "ann@example.com",
        '{"name":"Ann"}',
        "rejected by smtp",
        "554",
    ):
        assert words in done.stdout


def test_what_is_masked_says_so(api: FakeFailed) -> None:
    masked = a_message(masked=True, address=None, variables=None)
    api.failures[:] = [a_failure(message=masked)]
    assert "users:read" in failed("show", api.failures[0].id).stdout


def test_the_summary_counts_by_cause(api: FakeFailed) -> None:
    lines = failed("summary").stdout.splitlines()[1:]
    assert {tuple(line.split("\t")[:2]) for line in lines} == {("3", CAUSE), ("2", OTHER_CAUSE)}


def test_json_is_what_the_api_said(api: FakeFailed) -> None:
    listed = json.loads(failed("list", "--json").stdout)
    assert [each["id"] for each in listed] == [str(each.id) for each in reversed(api.failures)]
    shown = json.loads(failed("show", api.failures[0].id, "--json").stdout)
    assert shown["message"]["variables"] == {"name": "Ann"}
    assert json.loads(failed("summary", "--json").stdout)["total"] == 5
    assert json.loads(failed("jobs", "--json").stdout)[0]["status"] == "completed"
    assert json.loads(failed("audit", "--json").stdout)[0]["act"] == "discarded"


def test_a_list_longer_than_a_page_is_read_page_by_page(api: FakeFailed) -> None:
    api.failures[:] = [a_failure() for _ in range(230)]
    assert len(json.loads(failed("list", "--limit", 210, "--json").stdout)) == 210
    assert len(api.bodies("GET /failed")) == 2


# ---------------------------------------------------------------- export


def test_an_export_is_whole_and_for_its_owner_alone(api: FakeFailed, tmp_path: Path) -> None:
    raw = RawMessage(size=2, sha256="0" * 64, base64=base64.b64encode(b"\xff\x00").decode())
    api.failures += [a_failure() for _ in range(205)] + [a_failure(message=None, raw=raw)]
    target = tmp_path / "failed.jsonl"
    target.write_text("older")
    done = failed("export", "-o", target)
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert done.exit_code == 0
    assert (done.stdout, "211 written" in done.stderr) == ("", True)
    assert [line["id"] for line in lines] == [str(each.id) for each in reversed(api.failures)]
    assert base64.b64decode(lines[0]["raw"]["base64"]) == b"\xff\x00"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["failed.jsonl"]


def test_an_export_that_breaks_off_leaves_what_was_there(api: FakeFailed, tmp_path: Path) -> None:
    target = tmp_path / "failed.jsonl"
    target.write_text("older")
    api.problems[f"GET /failed/{api.failures[0].id}"] = [problem(403, "Not for you.")]
    done = failed("export", "-o", target)
    assert (done.exit_code, target.read_text()) == (1, "older")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["failed.jsonl"]


def test_an_export_to_stdout_is_nothing_but_lines(api: FakeFailed) -> None:
    done = failed("export", "-o", "-", "--type", "email")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        str(each.id) for each in reversed(api.failures)
    ]
