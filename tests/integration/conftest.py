"""Fixtures of the tests that run one service. Its own conftest says which, as the fixture `service`."""

import httpx
import pytest

from shared.process.service_tokens import ServiceTokens
from tests.integration.services import RunningService, gateways_tokens


@pytest.fixture
def service_tokens() -> ServiceTokens:
    """The gateway's."""
    return gateways_tokens()


@pytest.fixture
def internal(service: RunningService) -> httpx.AsyncClient:
    """Plain HTTP with a service token."""
    return service.internal
