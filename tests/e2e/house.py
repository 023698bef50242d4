"""All five services as processes that can be killed one by one, between a mail server and a push service that
can be put out of order while they run.

Each process is forked (tests/integration/crashing/service_process.py), so that a house stands within a few
seconds and whoever was killed is back in a tenth of one.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from carillon.embedded.postgres import EmbeddedPostgres
from carillon.home import CHECKOUT, Home
from carillon.onboarding import Onboarding
from carillon.services import SERVICES
from email_service.settings import EmailSettings
from gateway_service.settings import GatewaySettings
from push_service.settings import PushSettings
from shared.process.service_tokens import ServiceTokens
from template_service.settings import TemplateServiceSettings
from tests.e2e.installation import free_offset
from tests.fakes.fcm import FakeFcm
from tests.fakes.smtp import FakeSmtpServer
from tests.fakes.threads import in_a_thread
from tests.integration.crashing.poison import create_poisonable_app
from tests.integration.crashing.service_process import ForkedProcess, Settings, as_it_is, start_process
from tests.servers import MigratedDatabases
from user_service.settings import UserServiceSettings

SECRET = "a secret of thirty-two bytes or more"
PASSWORD = "correct horse battery staple"
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.1

AnswerT = TypeVar("AnswerT")
_KINDS: Mapping[str, type[Settings]] = {
    "user": UserServiceSettings,
    "template": TemplateServiceSettings,
    "gateway": GatewaySettings,
    "email": EmailSettings,
    "push": PushSettings,
}


@dataclass(kw_only=True)
class House:
    """What clients, operators, the supervisor and the people at the mail server can do."""

    api: httpx.Client
    mail: FakeSmtpServer
    fcm: FakeFcm
    settings: Mapping[str, Settings]
    log: Path
    postgres: EmbeddedPostgres
    email_is_poisonable: bool = True
    processes: dict[str, ForkedProcess] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Of the gateway."""
        return f"http://127.0.0.1:{self.settings['gateway'].port}"

    def start(self, name: str) -> None:
        """Start a service, and return at once."""
        poisonable = name == "email" and self.email_is_poisonable
        self.processes[name] = start_process(
            self.settings[name],
            log=self.log / f"{name}.log",
            create_app=create_poisonable_app if poisonable else as_it_is,
        )

    def kill(self, name: str) -> None:
        """kill -9; it is gone when this returns, and stays so."""
        self.processes.pop(name).remove()

    def time_passes(self, name: str) -> None:
        """What a service held that is dead by now is free again, and what it has not reported is overdue."""
        long_ago = "clock_timestamp() - interval '1 minute'"
        statements = {
            "gateway": (
                f"UPDATE reprocess_jobs SET lease_until = {long_ago}",
                "UPDATE outbox SET next_at = now() WHERE published_at IS NULL",
            ),
            "email": (
                f"UPDATE deliveries SET lease_until = {long_ago} WHERE state = 'sending'",
                f"UPDATE deliveries SET unreported_since = {long_ago} WHERE unreported_since IS NOT NULL",
            ),
        }
        for statement in statements[name]:
            self.sql(name, statement)

    def clear(self) -> None:
        """End them all."""
        for name in tuple(self.processes):
            self.kill(name)

    def mend_the_library(self) -> None:
        """No mail is deadly any more."""
        asyncio.run(self.processes["email"].stop())
        self.kill("email")
        self.email_is_poisonable = False
        self.start("email")

    def wait_for(
        self,
        ask: Callable[[], AnswerT],
        holds: Callable[[AnswerT], bool],
        *,
        meanwhile: Callable[[], object] = lambda: None,
        within_s: float = PATIENCE_S,
    ) -> AnswerT:
        """What is answered once it holds. Whoever dies by itself is started again, as a supervisor does; a
        gateway that is away is asked again."""
        deadline, answer = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            for name, process in tuple(self.processes.items()):
                if not process.is_alive:
                    self.kill(name)
                    self.start(name)
            with suppress(httpx.TransportError):
                answer = ask()
                if holds(answer):
                    return answer
                meanwhile()
            time.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"not within {within_s:g} s: {answer}")

    def get(
        self, path: str, query: Mapping[str, str | int] | None = None, *, by: httpx.Client | None = None
    ) -> dict[str, Any]:
        """What is answered to a GET that succeeds."""
        answer = (by or self.api).get(path, params=query)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def post(self, path: str, body: object = None, *, by: httpx.Client | None = None) -> dict[str, Any]:
        """What is answered to a POST that succeeds."""
        answer = (by or self.api).post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def sql(self, name: str, statement: str) -> str:
        """Run a statement in the database of a service."""
        database = urlsplit(self.settings[name].database_url).path.removeprefix("/")
        return self.postgres.run_sql(statement, database=database)

    def account(self, email: str) -> None:
        """Of an operator, with `PASSWORD`."""
        body = {"name": "An operator", "email": email, "password": PASSWORD, "role": "operator"}
        token = ServiceTokens(SECRET, "carillon").issue("user_service")
        made = httpx.post(
            f"http://127.0.0.1:{self.settings['user'].port}/internal/v1/accounts",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        assert made.is_success, made.text

    @contextmanager
    def operator(self, email: str) -> Iterator[httpx.Client]:
        """Somebody with such an account, logged in."""
        self.account(email)
        with client_of(self.url) as client:
            login = client.post("/auth/token", data={"username": email, "password": PASSWORD})
            assert login.is_success, login.text
            client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
            yield client


@contextmanager
def built_house(
    folder: Path,
    *,
    postgres: EmbeddedPostgres,
    databases: MigratedDatabases,
    broker_url: str,
    redis_url: str,
    **changes: object,
) -> Iterator[House]:
    """All of it, ready; gone afterwards."""
    offset = free_offset()
    ports = {service.name: service.port + offset for service in SERVICES}
    with ExitStack() as stack:
        mail = stack.enter_context(in_a_thread(FakeSmtpServer()))
        fcm = stack.enter_context(in_a_thread(FakeFcm()))
        common = {
            "environment": "test",
            "service_secret": SECRET,
            "broker_url": broker_url,
            "redis_url": redis_url,
            "user_service_url": f"http://127.0.0.1:{ports['user']}",
            "template_service_url": f"http://127.0.0.1:{ports['template']}",
            "channel_urls": {name: f"http://127.0.0.1:{ports[name]}" for name in ("email", "push")},
            "smtp_port": mail.port,
            "fcm_url": fcm.url,
            "fcm_credentials_file": fcm.write_account(folder),
            "password_rounds": 4,
            "database_pool_size": 5,
            "database_timeout_s": 20.0,
            "smtp_timeout_s": 4.0,
            "lease_margin_s": 0.5,
            "sweep_interval_s": 0.2,
            **changes,
        }
        settings: dict[str, Settings] = {}
        for service in SERVICES:
            url = stack.enter_context(databases.fresh(CHECKOUT / service.revisions))
            kind = _KINDS[service.name]
            own = {"port": ports[service.name], "database_url": url}
            known = {name: value for name, value in common.items() if name in kind.model_fields}
            settings[service.name] = kind.model_validate(known | own)
        api = stack.enter_context(client_of(f"http://127.0.0.1:{ports['gateway']}"))
        house = House(api=api, mail=mail, fcm=fcm, settings=settings, log=folder, postgres=postgres)
        stack.callback(house.clear)
        for service in SERVICES:
            house.start(service.name)
        for port in ports.values():
            house.wait_for(partial(httpx.get, f"http://127.0.0.1:{port}/ready"), succeeded)
        onboarding = Onboarding(url=f"http://127.0.0.1:{ports['user']}", service_secret=SECRET)
        home = Home(folder / "home")
        home.open()
        key = asyncio.run(onboarding.first_credentials(home)).api_key
        api.headers["Authorization"] = f"Bearer {key}"
        yield house


def succeeded(answer: httpx.Response) -> bool:
    """Whether it is a 2xx."""
    return answer.is_success


def client_of(url: str) -> httpx.Client:
    """Of the gateway at `url`, without credentials."""
    return httpx.Client(base_url=f"{url}/api/v1", timeout=60, trust_env=False)
