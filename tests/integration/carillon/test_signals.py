"""What Ctrl-C and SIGTERM do to `carillon up`."""

import asyncio
import os
import signal

from carillon.up import stopped_by_signals


async def wait_until_stopped(hurry: asyncio.Event, *, again: bool) -> bool:
    """Give ourselves a signal, perhaps twice; whether a hurry was asked for while ending in order."""
    async with stopped_by_signals(hurry):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            if again:
                os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(10):
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
    return hurry.is_set()


async def test_a_signal_ends_the_run_in_order() -> None:
    assert not await wait_until_stopped(asyncio.Event(), again=False)


async def test_a_signal_that_make_passes_on_as_well_is_one_wish() -> None:
    assert not await wait_until_stopped(asyncio.Event(), again=True)


async def test_a_second_wish_is_a_hurry() -> None:
    times = iter(range(0, 1000, 10))
    hurry = asyncio.Event()
    async with stopped_by_signals(hurry, time_s=lambda: float(next(times))):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            async with asyncio.timeout(5):
                await hurry.wait()
    assert hurry.is_set()
