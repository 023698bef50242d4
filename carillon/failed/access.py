"""Which installation is meant, and who asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from carillon.api import Api, Bearer
from carillon.api_answers import Refused
from carillon.failed.account import Account
from carillon.home import Home
from carillon.keys import AdminLogin
from carillon.settings import NamedInstallation
from carillon.setup_error import SetupError
from carillon.status import current_run

_CONNECTIONS = 8
_TRIES = 4
"""A person waits: some seconds, and then a sentence."""
_API = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Access:
    """A gateway's address, and an account or an API key for it. `elsewhere`: not the one that runs here."""

    url: str
    login: AdminLogin | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    elsewhere: bool = True


def find_access(url: str | None, home: Home) -> Access:
    """`url`, else CARILLON_URL, else what runs in `home`; with CARILLON_OPERATOR, else CARILLON_API_KEY, else
    the administrator's login that is kept here, which never goes to another installation.

    Raises SetupError where nothing runs, or nobody is named for an installation elsewhere.
    """
    try:
        named = NamedInstallation()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise SetupError(f"CARILLON_{str(first['loc'][0]).upper()}: {first['msg']}.") from error
    chosen = url or named.url
    gateway = _gateway(chosen) if chosen else _gateway_here(home)
    elsewhere = bool(chosen)
    if named.operator is not None:
        login = _login(named.operator.get_secret_value())
        return Access(url=gateway, login=login, elsewhere=elsewhere)
    if named.api_key is not None:
        key = named.api_key.get_secret_value()
        if not (key.isascii() and key.isprintable()):
            raise SetupError("CARILLON_API_KEY is no API key.")
        return Access(url=gateway, api_key=key, elsewhere=elsewhere)
    if elsewhere:
        raise SetupError(
            f"Say who asks {gateway}: set CARILLON_OPERATOR=email:password, or CARILLON_API_KEY to a key "
            "with the scopes failed:read and failed:write."
        )
    return Access(url=gateway, login=_kept_login(home), elsewhere=False)


@asynccontextmanager
async def api_for(access: Access) -> AsyncIterator[Api]:
    """Logged in until the end. Raises Refused and SetupError."""
    if access.login is None:
        api = _api(access, access.api_key or "")
        try:
            yield api
        finally:
            await api.close()
        return
    door = _api(access, "", connections=1)
    account = Account(door, access.login)
    api = _api(access, account)
    try:
        await account.log_in()
        yield api
    finally:
        with suppress(Refused, TimeoutError):
            await account.log_out()
        await api.close()
        await door.close()


def _api(access: Access, bearer: str | Bearer, *, connections: int = _CONNECTIONS) -> Api:
    try:
        return Api(access.url, bearer, tries=_TRIES, connections=connections, elsewhere=access.elsewhere)
    except (ValueError, ImportError) as error:
        # httpx refuses an address that is none, and a SOCKS proxy without a library for it.
        raise SetupError("The proxy that the environment names cannot be used.") from error


def _gateway_here(home: Home) -> str:
    try:
        return current_run(home).addresses["gateway"]
    except SetupError as error:
        raise SetupError(f"{error} Another installation is named by --url or CARILLON_URL.") from error


def _gateway(url: str) -> str:
    """Without the path of the API, which people copy along."""
    wrong = SetupError("The gateway's URL begins with http:// or https:// and names a host.")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise wrong
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise wrong from error
    if parts.username or parts.password:
        raise SetupError(
            "The gateway's URL holds a password: set CARILLON_OPERATOR or CARILLON_API_KEY instead."
        )
    if parts.query or parts.fragment:
        raise SetupError("The gateway's URL ends with its host, port and path.")
    return url.rstrip("/").removesuffix(_API).rstrip("/")


def _login(given: str) -> AdminLogin:
    email, colon, password = given.partition(":")
    if not (email and colon and password):
        raise SetupError("CARILLON_OPERATOR is to be email:password.")
    return AdminLogin(email=email, password=password)


def _kept_login(home: Home) -> AdminLogin:
    """As it is: one that is missing is made by `carillon up` alone."""
    try:
        return AdminLogin(
            email=home.secret_path("admin_email").read_text(),
            password=home.secret_path("admin_password").read_text(),
        )
    except OSError as error:
        raise SetupError(
            f"The administrator's login in {home.folder} cannot be read ({error.strerror}): set "
            "CARILLON_OPERATOR=email:password."
        ) from error
