"""Points at which a process can be told to die."""

import os
import signal
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from shared.process.crash_points import CrashPoint, arm, parse, reach
from shared.process.settings import ProcessSettings


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def dies_of(spec: str, *reached: CrashPoint) -> int:
    """In a child of its own; the signal that ended it, 0 where it lived."""
    child = os.fork()
    if child == 0:
        arm(spec)
        for point in reached:
            reach(point)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_the_process_dies_where_it_was_told_to_and_nowhere_else() -> None:
    assert dies_of("claim.committed", CrashPoint.CLAIM_COMMITTED) == signal.SIGKILL
    assert dies_of("claim.committed", CrashPoint.PROVIDER_ANSWERED) == 0


def test_the_third_time_is_the_third_time() -> None:
    point = CrashPoint.MESSAGE_TAKEN

    assert dies_of("message.taken:3", point, point) == 0
    assert dies_of("message.taken:3", point, point, point) == signal.SIGKILL


def test_unarmed_every_point_is_passed() -> None:
    for point in CrashPoint:
        reach(point)


@pytest.mark.parametrize("spec", ["nowhere", "claim.committed:0", "claim.committed:x", ""])
def test_what_is_no_point_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"no such point|colon"):
        parse(spec)


def test_production_refuses_to_be_crashed() -> None:
    with pytest.raises(ValidationError, match="never for production"):
        ProcessSettings(environment="production", crash_at="claim.committed")

    assert ProcessSettings(environment="test", crash_at="claim.committed:2").crash_at == "claim.committed:2"
