"""What the command line says about settings that cannot be."""

import pytest
from typer.testing import CliRunner

from carillon.main import app


@pytest.mark.parametrize("command", ["up", "migrate"])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("CARILLON_BROKER_URL", "garbage"),
        ("CARILLON_REDIS_URL", "foo"),
        ("CARILLON_DATABASE_URL", "mysql://me:hunter2@db/x"),
        ("CARILLON_PORT_OFFSET", "many"),
    ],
)
def test_a_wrong_setting_is_one_sentence_and_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, command: str, name: str, wrong: str
) -> None:
    monkeypatch.setenv(name, wrong)
    done = CliRunner().invoke(app, [command])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"{name}: ")
    assert done.stderr.count("\n") == 1
    assert wrong not in done.stderr
