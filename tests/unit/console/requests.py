"""Requests as the console sees them."""

from fastapi import Request


def a_request(*, scheme: str = "http", peer: str = "192.0.2.7", **headers: str) -> Request:
    """With these headers; `_` stands for `-`."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": "/console",
            "query_string": b"",
            "headers": raw,
            "client": (peer, 1234),
            "server": ("gateway", 80),
        }
    )
