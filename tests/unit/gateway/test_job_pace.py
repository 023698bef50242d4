"""A job keeps to its pace, and makes up for a pause of a second at most."""

from gateway_service.messaging.reprocessing import Pace


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def released_in(seconds: float, *, per_second: float, every_s: float) -> int:
    hands, total = Hands(), 0
    pace = Pace(hands)
    for _ in range(round(seconds / every_s)):
        released = max(0, pace.allowance)
        total += released
        hands.at += every_s
        pace.note(released, per_second=per_second)
    return total


def test_so_many_in_a_second_however_often_it_is_looked() -> None:
    for every_s in (0.01, 0.1, 0.5):
        assert 1900 <= released_in(10, per_second=200, every_s=every_s) <= 2001


def test_less_than_one_in_a_second() -> None:
    assert 9 <= released_in(100, per_second=0.1, every_s=1.0) <= 11


def test_a_long_pause_is_not_made_up_for() -> None:
    hands = Hands()
    pace = Pace(hands)
    hands.at += 3600
    pace.note(0, per_second=200)
    assert pace.allowance == 200


def test_what_was_released_beyond_is_waited_for() -> None:
    hands = Hands()
    pace = Pace(hands)
    hands.at += 1
    pace.note(30, per_second=10)
    assert pace.allowance < 0
    hands.at += 3
    pace.note(0, per_second=10)
    assert pace.allowance >= 0
