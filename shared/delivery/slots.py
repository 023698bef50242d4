"""How many calls of providers each lane may have in flight."""

import asyncio
from collections.abc import Mapping

from shared.contracts.channels import Lane


class Slot:
    """The right to one call, let go as soon as the provider has answered: what remains to be written then
    keeps nobody from calling. Without a call it is let go at the end of the block."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._held = False

    async def __aenter__(self) -> "Slot":
        await self._free.acquire()
        self._held = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let it go; a second time does nothing."""
        if self._held:
            self._held = False
            self._free.release()


class Slots:
    """The slots of every lane of a channel."""

    def __init__(self, shares: Mapping[Lane, int]) -> None:
        self._free = {lane: asyncio.Semaphore(share) for lane, share in shares.items()}

    def one(self, lane: Lane) -> Slot:
        """`async with` waits for a slot of the lane."""
        return Slot(self._free[lane])
