"""What is live is made once for all who watch, and only while somebody does; streams end in time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway_service.console.live import Live, Stream, TooManyWatch, event

PATIENCE_S = 10.0
ANN, BOB = "ann", "bob"


class Maker:
    """Makes another state each time, and counts."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> str:
        """The next state."""
        self.made += 1
        return f"<p>{self.made}</p>"


async def states(stream: Stream, count: int) -> list[str]:
    """The next so many; fewer where the stream ends before."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        async for message in stream.events():
            if message.startswith(b"event: state"):
                found.append(message.decode())
                if len(found) == count:
                    break
    return found


async def test_a_state_is_made_once_for_all_who_watch() -> None:
    live, make = Live(every_s=3_600), Maker()
    streams = [live.open("overview", make, who=number, for_s=60) for number in range(20)]
    seen = await asyncio.gather(*(states(stream, 1) for stream in streams))
    assert seen == [["event: state\ndata: <p>1</p>\n\n"]] * 20
    assert make.made == 1
    assert live.latest("overview") == "<p>1</p>"
    for stream in streams:
        stream.close()


async def test_without_watchers_nothing_is_made() -> None:
    live, make = Live(every_s=0.01), Maker()
    stream = live.open("overview", make, who=ANN, for_s=60)
    await states(stream, 3)
    stream.close()
    stream.close()
    made = make.made
    await asyncio.sleep(0.1)
    assert make.made == made
    assert (live.watching, live.latest("overview")) == (0, None)


async def test_beyond_the_bound_nobody_watches_until_somebody_leaves() -> None:
    live, make = Live(most=2, every_s=3_600), Maker()
    first, _ = live.open("a", make, who=ANN, for_s=60), live.open("b", make, who=ANN, for_s=60)
    with pytest.raises(TooManyWatch):
        live.open("a", make, who=ANN, for_s=60)
    first.close()
    live.open("a", make, who=ANN, for_s=60)
    live.stop()


async def test_one_account_takes_no_more_than_its_part() -> None:
    live, make = Live(most_of_one=1, every_s=3_600), Maker()
    first = live.open("a", make, who=ANN, for_s=60)
    with pytest.raises(TooManyWatch):
        live.open("b", make, who=ANN, for_s=60)
    live.open("a", make, who=BOB, for_s=60)
    first.close()
    live.open("a", make, who=ANN, for_s=60)
    live.stop()


async def test_who_comes_later_sees_nothing_that_was_begun_before() -> None:
    live, make = Live(every_s=0.01), Maker()
    first = live.open("job", make, who=ANN, for_s=60)
    seen = await states(first, 1)
    before = make.made
    later = live.open("job", make, who=ANN, for_s=60)
    (state,) = await states(later, 1)
    assert seen == ["event: state\ndata: <p>1</p>\n\n"]
    assert int(state.partition("<p>")[2].partition("<")[0]) > before
    live.stop()


@pytest.mark.parametrize(("for_s", "after_s"), [(30.0, 31.0), (1e9, 3_601.0)])
async def test_a_stream_ends_with_the_session_and_after_an_hour(for_s: float, after_s: float) -> None:
    now = 1_000.0
    live = Live(every_s=0.01, monotonic=lambda: now)
    stream = live.open("overview", Maker(), who=ANN, for_s=for_s)
    events: AsyncIterator[bytes] = stream.events()
    assert (await anext(events)).startswith(b"retry:")
    assert (await anext(events)).startswith(b"event: state")
    now += after_s
    async with asyncio.timeout(PATIENCE_S):
        assert [message async for message in events] == []
    stream.close()


async def test_every_stream_ends_at_once_when_the_process_is_to_stop() -> None:
    live = Live(every_s=3_600)
    streams = [live.open("overview", Maker(), who=ANN, for_s=60) for _ in range(3)]
    watching = [asyncio.create_task(states(stream, 100)) for stream in streams]
    while live.latest("overview") is None:
        await asyncio.sleep(0)
    live.stop()
    assert [len(seen) for seen in await asyncio.gather(*watching)] == [1, 1, 1]
    with pytest.raises(TooManyWatch):
        live.open("overview", Maker(), who=ANN, for_s=60)


async def test_a_state_that_cannot_be_made_ends_no_stream() -> None:
    class Faulty(Maker):
        async def __call__(self) -> str:
            """Fails at first."""
            state = await super().__call__()
            if self.made < 3:
                raise RuntimeError("not now")
            return state

    live = Live(every_s=0.01)
    stream = live.open("overview", Faulty(), who=ANN, for_s=60)
    assert await states(stream, 1) == ["event: state\ndata: <p>3</p>\n\n"]
    stream.close()


def test_lines_of_a_state_cannot_end_its_event() -> None:
    assert event("state", "a\n\nevent: other\r\nb") == (
        b"event: state\ndata: a\ndata: \ndata: event: other\ndata: b\n\n"
    )
