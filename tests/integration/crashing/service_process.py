"""A service in a process of its own, there in a tenth of a second.

`python -m email_service` takes two seconds until it works, most of them for imports. Here a process that
has imported everything already (multiprocessing's fork server) is forked, and what runs in the fork is the
whole service as `create_app` puts it together.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread

import uvloop
from fastapi import FastAPI

import email_service.main
import gateway_service.main
import push_service.main
import template_service.main
import user_service.main
from email_service.settings import EmailSettings
from gateway_service.settings import GatewaySettings
from push_service.settings import PushSettings
from shared.process import crash_points
from shared.process.logging import configure_logging
from shared.process.watchdog import watch
from shared.web.server import serve
from template_service.settings import TemplateServiceSettings
from user_service.settings import UserServiceSettings

Settings = EmailSettings | PushSettings | GatewaySettings | UserServiceSettings | TemplateServiceSettings

ENDS_WITHIN_S = 30.0
"""How long to wait for a death or an end; a busy machine takes its time."""

_CONTEXT = multiprocessing.get_context("forkserver")
_IMPORTED_LATE = ("httpcore", "anyio._backends._asyncio", "sqlalchemy.dialects.postgresql.asyncpg")
"""By libraries, when they are first used: half of what a fork would have to do otherwise."""
_CONTEXT.set_forkserver_preload([__name__, *_IMPORTED_LATE])


@dataclass(frozen=True, kw_only=True)
class ForkedProcess:
    """One such process, and what can be done to it."""

    _process: ForkServerProcess
    _log: Path

    @property
    def pid(self) -> int:
        """Of the operating system."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    async def dies(self) -> None:
        """Wait until it has killed itself; anything else is an error."""
        await self._ended()
        assert self._process.exitcode == -signal.SIGKILL, self._told("It ended, but was not killed.")

    async def stop(self) -> None:
        """SIGTERM, as a supervisor does; it must end in order."""
        self._send(signal.SIGTERM)
        await self._ended()
        assert self._process.exitcode == 0, self._told("It did not end in order.")

    def freeze(self) -> None:
        """SIGSTOP: it runs no further, and knows nothing of it."""
        self._send(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def remove(self) -> None:
        """Leave nothing of it behind, in whatever state it is."""
        if self.is_alive:
            self._process.kill()
        self._process.join(ENDS_WITHIN_S)
        self._process.close()

    async def _ended(self) -> None:
        await asyncio.to_thread(self._process.join, ENDS_WITHIN_S)
        assert self._process.exitcode is not None, self._told(f"It goes on after {ENDS_WITHIN_S:g} s.")

    def _send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _told(self, sentence: str) -> str:
        return f"{sentence} Exit code {self._process.exitcode}; its log:\n{self._log.read_text()[-3000:]}"


def as_it_is(settings: Settings) -> FastAPI:
    """The service that the settings are for."""
    match settings:
        case EmailSettings():
            return email_service.main.create_app(settings)
        case PushSettings():
            return push_service.main.create_app(settings)
        case GatewaySettings():
            return gateway_service.main.create_app(settings)
        case UserServiceSettings():
            return user_service.main.create_app(settings)
        case TemplateServiceSettings():
            return template_service.main.create_app(settings)


def start_process(
    settings: Settings, *, log: Path, create_app: Callable[[Settings], FastAPI] = as_it_is
) -> ForkedProcess:
    """Fork it; `settings.crash_at` arms it, and its log is appended to `log`. With port 0 it listens nowhere,
    which makes it quicker still."""
    process = _CONTEXT.Process(target=_run, args=(settings, log, create_app), daemon=True)
    process.start()
    return ForkedProcess(_process=process, _log=log)


def _run(settings: Settings, log: Path, create_app: Callable[[Settings], FastAPI]) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    with log.open("ab", buffering=0) as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    configure_logging(service=settings.service_name, level="INFO", format="json")
    crash_points.arm(settings.crash_at)
    app = create_app(settings)
    if settings.port:
        serve(app, settings)
    else:
        uvloop.run(_keep_alive(app, stall_limit_s=settings.stall_limit_s))


async def _keep_alive(app: FastAPI, *, stall_limit_s: float) -> None:
    stopped, watching = asyncio.Event(), asyncio.create_task(watch(stall_limit_s))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with app.router.lifespan_context(app):
        await stopped.wait()
    watching.cancel()


def _end_with_parent() -> None:
    """Where the tests themselves are killed, nothing of theirs goes on."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
