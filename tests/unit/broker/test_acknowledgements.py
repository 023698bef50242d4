"""Few frames, and never one that would close the channel or settle what is not finished."""

from hypothesis import given
from hypothesis import strategies as st

from shared.broker.rabbitmq.acknowledgements import Acknowledgements


def test_a_finished_run_takes_one_frame() -> None:
    acknowledgements = Acknowledgements()
    for tag in (3, 1, 2):
        acknowledgements.finish(tag)

    assert list(acknowledgements.frames()) == [(3, True)]
    assert list(acknowledgements.frames()) == []


def test_a_single_tag_is_acknowledged_by_itself() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.finish(1)

    assert list(acknowledgements.frames()) == [(1, False)]


def test_what_follows_a_gap_is_acknowledged_one_by_one() -> None:
    acknowledgements = Acknowledgements()
    for tag in (1, 2, 4, 6):
        acknowledgements.finish(tag)

    assert list(acknowledgements.frames()) == [(2, True), (4, False), (6, False)]


def test_a_tag_that_was_settled_otherwise_is_not_named_again() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.finish(1)
    acknowledgements.finish(2, settled=True)
    acknowledgements.finish(3)
    acknowledgements.finish(4, settled=True)

    assert list(acknowledgements.frames()) == [(3, True)]


@given(order=st.permutations(range(1, 25)), flush_after=st.sets(st.integers(1, 24)), data=st.data())
def test_every_tag_is_settled_exactly_once_and_no_other(
    order: list[int], flush_after: set[int], data: st.DataObject
) -> None:
    otherwise = data.draw(st.sets(st.integers(1, 24)))
    acknowledgements = Acknowledgements()
    outstanding = set(order)  # as RabbitMQ sees it
    finished: set[int] = set()
    for place, tag in enumerate(order, 1):
        settled = tag in otherwise
        if settled:
            outstanding.discard(tag)
        finished.add(tag)
        acknowledgements.finish(tag, settled=settled)
        if place in flush_after or place == len(order):
            for named, everything_up_to in acknowledgements.frames():
                assert named in outstanding, "RabbitMQ closes the channel over an unknown tag"
                covered = {t for t in outstanding if t <= named} if everything_up_to else {named}
                assert covered <= finished
                outstanding -= covered
            assert not outstanding & finished
    assert not outstanding
