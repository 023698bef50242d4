"""The service and what it is given."""

from typing import cast

from pydantic import SecretStr

from shared.broker.interface import Broker
from template_service.main import create_app
from template_service.settings import TemplateServiceSettings
from tests.unit.templates.conftest import SECRET


class Lifeline:
    """Of a broker no more than that it is started and closed."""

    def __init__(self) -> None:
        self.story: list[str] = []

    async def start(self, *, wait_s: float | None) -> None:
        """Notes it."""
        self.story.append(f"started, waiting {wait_s} s at most")

    async def close(self) -> None:
        """Notes it."""
        self.story.append("closed")

    async def ping(self) -> None:
        """There."""


async def test_a_broker_that_is_passed_in_is_started_and_closed_with_the_app() -> None:
    broker = Lifeline()
    settings = TemplateServiceSettings(
        environment="test",
        database_url="postgresql://nobody@127.0.0.1:1/none",
        service_secret=SecretStr(SECRET),
    )
    app = create_app(settings, broker=cast(Broker, broker))
    async with app.router.lifespan_context(app):
        assert broker.story == ["started, waiting 1.0 s at most"]
    assert broker.story[1:] == ["closed"]
