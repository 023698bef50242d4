"""A slow reader costs no memory, and knows that it was too slow."""

import pytest

from shared.broker.feed import LONGEST_FEED, Feed, broadcast_text


async def test_bodies_come_in_order_and_a_gap_in_its_place() -> None:
    feed = Feed()
    feed.gap()
    feed.put(b"1")
    feed.put(b"2")

    assert [await anext(feed), await anext(feed), await anext(feed)] == [None, b"1", b"2"]


async def test_a_gap_makes_what_was_unread_void() -> None:
    feed = Feed()
    feed.put(b"old")
    feed.gap()
    feed.put(b"new")

    assert [await anext(feed), await anext(feed)] == [None, b"new"]


async def test_a_reader_too_far_behind_is_told_that_it_missed_something() -> None:
    feed = Feed()
    for number in range(LONGEST_FEED + 1):
        feed.put(str(number).encode())

    assert [await anext(feed), await anext(feed)] == [None, str(LONGEST_FEED).encode()]


async def test_a_closed_feed_ends() -> None:
    feed = Feed()
    feed.put(b"unread")
    feed.close()

    assert [body async for body in feed] == []


@pytest.mark.parametrize("body", [b"x" * 7001, b"\xff\xfe", b"a\0"])
def test_only_short_text_without_nul_can_be_broadcast(body: bytes) -> None:
    with pytest.raises(ValueError):
        broadcast_text(body)


def test_text_of_the_longest_length_can_be_broadcast() -> None:
    assert broadcast_text("ä".encode() * 3500) == "ä" * 3500
