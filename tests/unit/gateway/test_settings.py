"""What the gateway refuses to start on."""

import json

import pytest
from pydantic import ValidationError

from gateway_service.settings import GatewaySettings
from shared.contracts.channels import Channel


@pytest.mark.parametrize("forgotten", list(Channel))
def test_a_channel_without_an_address_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, forgotten: Channel
) -> None:
    urls = {channel.value: f"http://{channel.value}" for channel in Channel}
    monkeypatch.setenv("CARILLON_CHANNEL_URLS", json.dumps(urls))
    assert set(GatewaySettings().channel_urls) == set(Channel)
    del urls[forgotten.value]
    monkeypatch.setenv("CARILLON_CHANNEL_URLS", json.dumps(urls))
    with pytest.raises(ValidationError, match=f"CARILLON_CHANNEL_URLS.*{forgotten.value}"):
        GatewaySettings()
