"""A publish is announced, if need be later."""

import asyncio

import msgspec
import pytest

from shared.broker.interface import BrokerUnavailable
from shared.contracts.delivery import TemplatePublished
from template_service.domain.announcements import Announcements


class Recorder:
    """A broker that is away for the first `failures` broadcasts."""

    def __init__(self, *, failures: int) -> None:
        self.failures = failures
        self.codes: list[str] = []
        self.heard = asyncio.Event()

    async def broadcast(self, body: bytes) -> None:
        """Record it, or refuse."""
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("away")
        self.codes.append(msgspec.json.decode(body, type=TemplatePublished).code)
        self.heard.set()


@pytest.mark.parametrize("failures", [0, 2])
async def test_change_is_announced_once_the_broker_is_there(failures: int) -> None:
    recorder = Recorder(failures=failures)
    announcing = Announcements(recorder, again_after_s=0)
    task = asyncio.create_task(announcing.run())
    announcing.template_changed("welcome")
    announcing.template_changed("welcome")
    await asyncio.wait_for(recorder.heard.wait(), 2)
    task.cancel()
    assert recorder.codes == ["welcome"]
