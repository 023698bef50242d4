"""The services under the experiment: all five, with two replicas of each where that is wanted."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from carillon.home import Home
from carillon.keys import secret_files
from carillon.onboarding import Onboarding
from carillon.plan import ProcessPlan, SecretFiles, Servers, plan_processes
from carillon.prove.furnishing import furnish
from carillon.prove.layout import Layout, replica, wire
from carillon.prove.nursery import Nursery, Upbringing
from carillon.readiness import not_ready
from carillon.services import SERVICES
from carillon.settings import MAILBOX, MAILBOX_SMTP, PUSH_STANDIN, Ports
from carillon.setup_error import SetupError

QUICKER: Mapping[str, str] = {
    "CARILLON_SMTP_TIMEOUT_S": "4",
    "CARILLON_FCM_TIMEOUT_S": "4",
    "CARILLON_LEASE_MARGIN_S": "2",
    "CARILLON_SWEEP_INTERVAL_S": "0.5",
    "CARILLON_REPORT_REPEAT_S": "3",
    "CARILLON_ASK_AFTER_S": "5",
    "CARILLON_BREAKER_OPEN_S": "5",
}
"""Times that are a matter of configuration, shorter than usual, so that an experiment need not wait for an
hour; what they are otherwise is in docs/operations.md."""
_ELSE = {"CARILLON_LOG_FORMAT": "json", "CARILLON_PASSWORD_ROUNDS": "4"}
_READY_WITHIN_S = 60.0
_ALIVE_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a scenario wants it. `through`: the servers, providers and services that are reached by a wire;
    `environment`: settings by service; `twice`: services of which there are two; `poisonable`:
    services that a mail can end."""

    through: frozenset[str] = frozenset()
    environment: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    twice: frozenset[str] = frozenset()
    poisonable: frozenset[str] = frozenset()


NOBODY_ASKS_TWICE = Setting(environment={"gateway": {"CARILLON_ASK_AFTER_S": "3600"}})
"""The gateway does not ask after what it hears nothing of: the first net has to hold without the second."""


class ProofInstallation:
    """One after another on the same databases: a scenario begins with processes of its own."""

    def __init__(
        self, *, folder: Path, servers: Servers, layout: Layout, nursery: Nursery, fcm_account: Path
    ) -> None:
        """Raises SetupError."""
        self.api_key = ""
        self.users: Path | None = None
        self._servers = servers
        self._layout = layout
        self._nursery = nursery
        self._fcm_account = fcm_account
        self._home = Home(folder / "home")
        self._home.open()
        self._setting = Setting()

    @property
    def gateway(self) -> str:
        """Where clients find it."""
        return self._address("gateway")

    def open(self, setting: Setting) -> None:
        """Start every process anew, and wait until all are ready. Raises SetupError."""
        self._setting = setting
        for service in SERVICES:
            for number in range(1, 3 if service.name in setting.twice else 2):
                self.start(replica(service.name, number))
        services = {name: f"http://127.0.0.1:{self._layout[name]}" for name in self._nursery.names()}
        complaints = asyncio.run(not_ready(services, timeout_s=_READY_WITHIN_S))
        if complaints:
            raise SetupError(f"The services do not get ready: {'; '.join(complaints)}.")
        if self.users is None:
            onboarding = Onboarding(url=services["user"], service_secret=self._home.secret("service_secret"))
            self.api_key = asyncio.run(onboarding.first_credentials(self._home)).api_key
            with self.api() as api:
                self.users = furnish(api, self._home.folder)

    def api(self) -> httpx.Client:
        """A client of the public API, with every right."""
        return httpx.Client(
            base_url=f"{self.gateway}/api/v1",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=_ALIVE_WITHIN_S,
            trust_env=False,
        )

    def greet(self) -> None:
        """Have the gateway know the client's key, as one that has run for a while does. Raises SetupError."""
        try:
            with self.api() as api:
                api.get("/notifications?limit=1").raise_for_status()
        except httpx.HTTPError as error:
            raise SetupError(f"The gateway does not know its client: {error!r}.") from error

    def start(self, name: str, *, clock_offset_s: float = 0.0) -> None:
        """Start one process, as the setting wants it. Returns at once."""
        service, _, number = name.partition("-")
        plan = next(each for each in self._plans(int(number or 1)) if each.name == service)
        module = next(each.module for each in SERVICES if each.name == service)
        self._nursery.start(
            name,
            Upbringing(
                module=module,
                environment=self._environment(plan),
                clock_offset_s=clock_offset_s,
                poisonable=service in self._setting.poisonable,
            ),
        )

    def wait_alive(self, name: str) -> None:
        """Until it answers at /health. Raises SetupError."""
        self._wait(name, "/health", within_s=_ALIVE_WITHIN_S)

    def wait_ready(self, name: str) -> None:
        """Until it answers 200 at /ready. Raises SetupError."""
        self._wait(name, "/ready", within_s=_READY_WITHIN_S)

    def close(self) -> None:
        """kill -9 of every process."""
        self._nursery.stop_all()

    def _wait(self, name: str, path: str, *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        with httpx.Client(base_url=f"http://127.0.0.1:{self._layout[name]}", trust_env=False) as client:
            while True:
                try:
                    if client.get(path, timeout=2).is_success:
                        return
                except httpx.HTTPError:
                    pass
                if time.monotonic() > deadline:
                    raise SetupError(f"{name} does not answer at {path} within {within_s:g} s.")
                time.sleep(_LOOK_EVERY_S)

    def _address(self, service: str) -> str:
        wired = service in self._setting.through or service in self._setting.twice
        return f"http://127.0.0.1:{self._layout[wire(service) if wired else service]}"

    def _through(self, server: str, url: str) -> str:
        """`url` by the wire in front of `server`, if the setting wants one."""
        if server not in self._setting.through:
            return url
        parts = urlsplit(url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self._layout[wire(server)]}"))

    def _provider_port(self, provider: str) -> int:
        return self._layout[wire(provider) if provider in self._setting.through else provider]

    def _plans(self, number: int) -> list[ProcessPlan]:
        ports = {service.name: self._layout[replica(service.name, number)] for service in SERVICES}
        tools = dict.fromkeys((MAILBOX, MAILBOX_SMTP, PUSH_STANDIN), self._layout["mail"])
        given = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
        return [
            plan
            for plan in plan_processes(
                servers=self._servers,
                secrets=self._secrets(),
                ports=Ports(by_name=ports | tools),
                host="127.0.0.1",
                inherited=given
                | {
                    "CARILLON_SMTP_HOST": "127.0.0.1",
                    "CARILLON_SMTP_PORT": str(self._provider_port("mail")),
                    "CARILLON_FCM_URL": f"http://127.0.0.1:{self._provider_port('fcm')}",
                    "CARILLON_FCM_CREDENTIALS_FILE": str(self._fcm_account),
                },
            )
            if plan.is_service
        ]

    def _secrets(self) -> SecretFiles:
        return secret_files(self._home, push_standin_url="http://127.0.0.1")

    def _environment(self, plan: ProcessPlan) -> dict[str, str]:
        own = dict(plan.environment)
        own["CARILLON_DATABASE_URL"] = self._through("postgres", own["CARILLON_DATABASE_URL"])
        own["CARILLON_BROKER_URL"] = self._through("broker", own["CARILLON_BROKER_URL"])
        own["CARILLON_REDIS_URL"] = self._through("redis", own["CARILLON_REDIS_URL"])
        own["CARILLON_USER_SERVICE_URL"] = self._address("user")
        own["CARILLON_TEMPLATE_SERVICE_URL"] = self._address("template")
        own["CARILLON_GATEWAY_URL"] = self._address("gateway")
        own["CARILLON_CHANNEL_URLS"] = json.dumps(
            {service.channel: self._address(service.name) for service in SERVICES if service.channel}
        )
        return {**own, **_ELSE, **QUICKER, **self._setting.environment.get(plan.name, {})}
