"""Rate limits go by the address of the client: not the proxy's, and not one that the client makes up."""

from ipaddress import ip_network

import pytest

from gateway_service.api.client_address import Network, original_address
from gateway_service.settings import GatewaySettings

PROXIES: tuple[Network, ...] = (ip_network("172.30.99.0/24"), ip_network("fd00::/64"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param("203.0.113.9", [], "203.0.113.9", id="direct"),
        pytest.param("203.0.113.9", ["198.51.100.1"], "203.0.113.9", id="made up by the client"),
        pytest.param("172.30.99.2", ["198.51.100.1"], "198.51.100.1", id="through the proxy"),
        pytest.param("172.30.99.2", ["8.8.8.8, 198.51.100.1"], "198.51.100.1", id="hearsay before it"),
        pytest.param("172.30.99.2", ["8.8.8.8", "198.51.100.1"], "198.51.100.1", id="in two lines"),
        pytest.param("172.30.99.2", ["198.51.100.1,172.30.99.7"], "198.51.100.1", id="two proxies"),
        pytest.param("172.30.99.2", ["172.30.99.8"], "172.30.99.8", id="from the proxies' own network"),
        pytest.param("172.30.99.2", [], "172.30.99.2", id="the proxy says nothing"),
        pytest.param("172.30.99.2", ["198.51.100.1, nonsense"], "172.30.99.2", id="the proxy says nonsense"),
        pytest.param("172.30.99.2", ["198.51.100.1,"], "172.30.99.2", id="an empty last entry"),
        pytest.param("::ffff:172.30.99.2", ["198.51.100.1"], "198.51.100.1", id="IPv4 in IPv6"),
        pytest.param("fd00::2", ["2001:DB8::0:1"], "2001:db8::1", id="IPv6 in one spelling"),
        pytest.param("testclient", ["198.51.100.1"], "testclient", id="no address at all"),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert original_address(peer, forwarded, PROXIES) == expected


def test_nobody_is_trusted_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GatewaySettings().trusted_proxies == ()
    monkeypatch.setenv("CARILLON_TRUSTED_PROXIES", '["172.30.99.0/24", "fd00::/64"]')
    assert GatewaySettings().trusted_proxies == PROXIES
