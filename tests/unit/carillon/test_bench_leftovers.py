"""What a bench leaves behind, and which servers it keeps its hands off."""

from pathlib import Path

import pytest
import typer

from carillon.bench.accounting import account
from carillon.bench.backlog import Backlog, Memory, Urgent
from carillon.bench.command import measured
from carillon.bench.report import Report
from carillon.bench.servers import BenchServers
from carillon.machine import describe_machine
from carillon.setup_error import SetupError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a log in it."""
    made = tmp_path / "bench"
    made.mkdir()
    (made / "up.log").write_text("x")
    return made


def report(arrived: str) -> Report:
    """Of two that were accepted; each letter is a notification."""
    drained = Backlog(
        broker="rabbitmq",
        count=2,
        account=account(asked=2, accepted="ab", unanswered=0, arrived=arrived),
        accepted_per_s=1,
        waiting=2,
        drain_per_s=1,
        first_per_s=1,
        last_per_s=1,
        urgent=Urgent(filling=None, draining=None),
        memory=Memory(first_mb=1, last_mb=1, most_mb=1),
        elsewhere=0,
    )
    return Report(machine=describe_machine({}), backlog=[drained])


def test_where_all_arrived_once_nothing_is_left(folder: Path) -> None:
    measured(lambda: report("ab"), folder=folder)
    assert not folder.exists()


@pytest.mark.parametrize("arrived", ["a", "abb"], ids=["lost", "twice"])
def test_where_something_was_lost_or_came_twice_the_logs_are_kept(folder: Path, arrived: str) -> None:
    found = measured(lambda: report(arrived), folder=folder)
    assert not found.is_whole
    assert (folder / "up.log").exists()


def test_where_it_could_not_be_measured_the_logs_are_kept_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Report:
        raise SetupError("No ports are free.")

    with pytest.raises(typer.Exit) as ended:
        measured(fail, folder=folder)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == f"No ports are free. The logs are in {folder}.\n"
    assert (folder / "up.log").exists()


def test_one_that_is_interrupted_leaves_nothing(folder: Path) -> None:
    def interrupt() -> Report:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit):
        measured(interrupt, folder=folder)
    assert not folder.exists()


@pytest.fixture
def without_rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed, not even Erlang."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CARILLON_BENCH_BROKER_URL", raising=False)


@pytest.mark.usefixtures("without_rabbitmq")
def test_the_broker_of_an_installation_is_never_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARILLON_BROKER_URL", "amqp://me:secret@broker.test/orders")
    with pytest.raises(SetupError, match="CARILLON_BENCH_BROKER_URL"):
        BenchServers(tmp_path).rabbitmq_url("carillon")


@pytest.mark.usefixtures("without_rabbitmq")
def test_without_rabbitmq_the_one_that_is_named_for_the_bench_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARILLON_BENCH_BROKER_URL", "amqp://me:secret@broker.test/bench")
    assert BenchServers(tmp_path).rabbitmq_url("carillon") == "amqp://me:secret@broker.test/bench"


def test_the_servers_of_each_run_have_a_password_of_their_own(tmp_path: Path) -> None:
    one, other = BenchServers(tmp_path), BenchServers(tmp_path)
    assert one.redis.url != other.redis.url
    assert one.postgres.url != other.postgres.url
