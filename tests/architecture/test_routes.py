"""Every route of every service is public by decision, or refuses whoever brings no credentials.

Asked of the real apps, without their lifespan: whoever is let in would meet a database that was never
started, and get another answer than 401.
"""

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from carillon.services import SERVICES
from shared.process.settings import ProcessSettings
from shared.web.admission import always_answered
from shared.web.examples import UNKNOWN

EVERYWHERE = {("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics")}
PUBLIC = {
    "gateway_service": {
        ("GET", "/docs"),
        ("GET", "/docs/{name}"),
        ("GET", "/openapi.json"),
        ("GET", "/.well-known/jwks.json"),
        ("POST", "/api/v1/auth/register"),
        ("POST", "/api/v1/auth/token"),
        ("POST", "/api/v1/auth/refresh"),
        ("POST", "/api/v1/auth/logout"),
        ("GET", "/console/login"),
        ("POST", "/console/login"),
        ("POST", "/console/logout"),
        ("GET", "/console/static/{version}/{name}"),
    },
    "user_service": {("GET", "/.well-known/jwks.json")},
}
PAGES = "/console"
"""For people: who is not logged in is led to the login."""
ANY_ID = UUID("0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d")
MODULES = [service.module for service in SERVICES]


def app_of(service: str) -> FastAPI:
    """The service's app as it is served, with the settings of a test environment."""
    settings = importlib.import_module(f"{service}.settings")
    (settings_class,) = (
        member
        for _, member in inspect.getmembers(settings, inspect.isclass)
        if issubclass(member, ProcessSettings) and member.__module__ == settings.__name__
    )
    app = importlib.import_module(f"{service}.main").create_app(settings_class(environment="test"))
    assert isinstance(app, FastAPI)
    return app


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and whole path of each."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                yield method, str(route.path)


@pytest.mark.parametrize("service", MODULES)
async def test_without_credentials_only_what_is_public_answers(service: str) -> None:
    app = app_of(service)
    routes = set(routes_of(app))
    public = EVERYWHERE | PUBLIC.get(service, set())
    assert public <= routes, "listed as public, but not there"
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    open_routes = []
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        for method, path in sorted(routes - public):
            concrete = re.sub(r"\{[^}]+\}", str(ANY_ID), path)
            page = path.startswith(PAGES)
            body: dict[str, object] = {} if method in ("GET", "DELETE") or page else {"json": {}}
            response = await client.request(method, concrete, **body)  # type: ignore[arg-type]
            if page and response.headers.get("location", "").startswith(f"{PAGES}/login"):
                continue
            if response.status_code != 401 or "www-authenticate" not in response.headers:
                open_routes.append(f"{method} {path}: {response.status_code}")
    assert open_routes == []


@pytest.mark.parametrize("service", MODULES)
def test_routes_are_public_or_internal_and_only_the_gateway_is_public(service: str) -> None:
    paths = {path for method, path in routes_of(app_of(service)) if (method, path) not in EVERYWHERE}
    paths -= {path for _, path in PUBLIC.get(service, set())}
    if service == "gateway_service":
        paths = {path for path in paths if not path.startswith(PAGES)}
    prefix = "/api/v1/" if service == "gateway_service" else "/internal/v1/"
    assert [path for path in sorted(paths) if not path.startswith(prefix)] == []


def test_the_public_description_is_valid_and_every_error_is_a_problem() -> None:
    document = app_of("gateway_service").openapi()
    OpenAPIV31SpecValidator(document).validate()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if status >= "400" and (path, status) != ("/ready", "503"):
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
            closed = path.startswith("/api/v1/") and (method.upper(), path) not in PUBLIC["gateway_service"]
            assert bool(operation.get("security")) == closed, (method, path)
            assert not closed or "401" in operation["responses"], (method, path)


def test_every_public_body_has_an_example_that_is_valid() -> None:
    document = app_of("gateway_service").openapi()
    missing = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = [body for status, body in operation["responses"].items() if status < "300"]
            for body in (operation.get("requestBody", {}), *answers):
                for media in body.get("content", {}).values():
                    whole = {**media["schema"], "components": document["components"]}
                    if "example" not in media or UNKNOWN in json.dumps(media["example"]):
                        missing.append((method, path, media.get("example")))
                    else:
                        Draft202012Validator(whole).validate(media["example"])
    assert missing == []


def test_every_operation_lists_what_is_answered_to_a_body_that_nobody_asked_for() -> None:
    for operations in app_of("gateway_service").openapi()["paths"].values():
        for operation in operations.values():
            assert {"400", "408", "413", "415", "500"} <= set(operation["responses"])


def test_every_operation_that_needs_a_place_says_that_there_may_be_none() -> None:
    for path, operations in app_of("gateway_service").openapi()["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            if not always_answered(path):
                assert "too_many_at_once" in answers["429"]["description"], path
                assert "overloaded" in answers["503"]["description"], path
