"""How soon a process that died is started again."""

import pytest

from carillon.supervisor import HOPELESS_DEATHS, HOPELESS_PAUSE_S, pause_after


@pytest.mark.parametrize(("deaths", "pause_s"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 3.0)])
def test_the_pause_doubles_up_to_three_seconds(deaths: int, pause_s: float) -> None:
    assert pause_after(deaths) == pytest.approx(pause_s)


def test_what_dies_at_once_each_time_is_tried_slowly_and_never_given_up() -> None:
    assert {pause_after(deaths) for deaths in (HOPELESS_DEATHS, 100, 10_000)} == {HOPELESS_PAUSE_S}
