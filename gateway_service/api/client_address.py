"""Whose address an anonymous request is counted against, also behind a reverse proxy.

`X-Forwarded-For` can be written by anybody. It is believed only where the connection comes from a trusted
proxy, and then from its end: each proxy appends the address that it saw, so that the last one which is no
trusted proxy's is the client's, and what stands before it is hearsay.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from fastapi import Request

Network = IPv4Network | IPv6Network
_UNKNOWN = "unknown"


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The client's, in one spelling; `unknown` where there is no connection, as in tests."""
    peer = request.client.host if request.client else _UNKNOWN
    return original_address(peer, request.headers.getlist("X-Forwarded-For"), trusted)


def original_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """`peer` is at the other end of the connection, `forwarded` the header's lines in their order. What is
    no address ends the search: the proxy that passed it on is then the client."""
    found = parsed_address(peer)
    if found is None:
        return peer
    hops = [hop for line in forwarded for hop in line.split(",")]
    while hops and any(found in network for network in trusted):
        hop = parsed_address(hops.pop().strip())
        if hop is None:
            break
        found = hop
    return str(found)


def parsed_address(text: str) -> IPv4Address | IPv6Address | None:
    """None where it is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # ::ffff:192.0.2.1 is how a socket for both kinds sees an IPv4 client.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
