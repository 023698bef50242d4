"""A form counts only where it came from a page of ours, made for the same session."""

from ipaddress import ip_network

import pytest
from fastapi import Response

from gateway_service.console.cookies import Cookies, session_credentials
from gateway_service.console.crossing import FormTokens, from_our_page
from tests.unit.console.requests import a_request

PROXIES = (ip_network("10.0.0.0/8"),)


def test_a_form_token_fits_its_own_session_and_no_other() -> None:
    tokens = FormTokens("a secret of the services, 32 bytes")
    token = tokens.issue("session of Ann")
    assert tokens.fits(token, "session of Ann")
    assert not tokens.fits(token, "session of Bob")
    assert not tokens.fits("", "session of Ann")
    assert not FormTokens("another secret, of 32 bytes and more").fits(token, "session of Ann")


def test_every_gateway_takes_the_forms_of_every_other() -> None:
    assert FormTokens("the same secret").issue("session") == FormTokens("the same secret").issue("session")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://gateway", "host": "gateway"}, False),
        ({"origin": "https://console.example.com", "host": "console.example.com"}, True),
        ({"origin": "https://console.example.com:8443", "host": "console.example.com"}, False),
        ({"origin": "https://example.org", "host": "console.example.com"}, False),
        ({"origin": "null", "host": "console.example.com"}, False),
        ({"origin": "http://[", "host": "console.example.com"}, False),
        ({"host": "console.example.com"}, True),  # no browser; the token decides
    ],
)
def test_what_the_browser_says_of_where_a_form_comes_from_counts(headers: dict[str, str], ours: bool) -> None:
    assert from_our_page(a_request(**headers)) is ours


@pytest.mark.parametrize(
    ("scheme", "peer", "headers", "secure"),
    [
        ("https", "192.0.2.7", {}, True),
        ("http", "192.0.2.7", {}, False),
        ("http", "10.1.2.3", {"x_forwarded_proto": "https"}, True),
        ("http", "10.1.2.3", {"x_forwarded_proto": "http, https"}, True),
        ("http", "10.1.2.3", {"x_forwarded_proto": "https, http"}, False),
        ("http", "192.0.2.7", {"x_forwarded_proto": "https"}, False),  # anybody can write that
    ],
)
def test_by_https_the_cookie_is_for_https_alone(
    scheme: str, peer: str, headers: dict[str, str], secure: bool
) -> None:
    response = Response()
    request = a_request(scheme=scheme, peer=peer, **headers)
    Cookies(PROXIES).keep_session(request, response, "token", lasts_s=86_400)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Secure-carillon_console=token;" if secure else "carillon_console=token;")
    parts = {part.strip() for part in cookie.split(";")}
    assert {"HttpOnly", "SameSite=strict", "Path=/console", "Max-Age=86400"} <= parts
    assert ("Secure" in parts) is secure
    assert not any(part.startswith("Domain") for part in parts)


def test_a_cookie_planted_by_http_is_not_taken_for_one_of_https() -> None:
    planted = a_request(scheme="https", cookie="carillon_console=planted")
    assert Cookies(()).session(planted) is None


def test_the_session_is_what_lets_a_request_for_a_page_in_and_nothing_else() -> None:
    def brought(cookie: str, path: str = "/console/failed") -> bytes | None:
        return session_credentials({**a_request(cookie=cookie).scope, "path": path})

    plain, secure = brought("carillon_console=a"), brought("__Secure-carillon_console=a")
    assert None not in (plain, secure)
    assert plain != secure != brought("carillon_console=b; __Secure-carillon_console=a")
    assert brought("carillon_console=a; other=b") == plain
    assert brought("other=a") is None
    assert brought("carillon_console=a", "/api/v1/failed") is None
