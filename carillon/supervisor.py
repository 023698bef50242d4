"""Keeps processes running: starts them, brings back what dies, and ends them in order."""

import asyncio
import contextlib
import math
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx

from carillon.console import MergedLog
from carillon.embedded.child import die_with_parent
from carillon.plan import ProcessPlan

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 3.0
HOPELESS_PAUSE_S = 30.0
HOPELESS_DEATHS = 6
CALM_S = 10.0
GRACE_S = 30.0
_LONGEST_LINE_BYTES = 1024 * 1024
_LOOK_EVERY_S = 2.0
_LOOK_AGAIN_S = 0.05
_LAST_WORDS_S = 1.0


def pause_after(deaths: int) -> float:
    """Seconds until the next start after so many deaths without a calm run between them."""
    if deaths >= HOPELESS_DEATHS:
        return HOPELESS_PAUSE_S
    return min(math.ldexp(FIRST_PAUSE_S, deaths - 1), LONGEST_PAUSE_S)


class SupervisedProcess:
    """One process that is to run until it is stopped."""

    def __init__(self, plan: ProcessPlan, *, folder: Path, log: MergedLog) -> None:
        self.plan = plan
        self.pid: int | None = None
        self._folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run it from now on."""
        self._keeper = asyncio.create_task(self._keep_running(), name=self.plan.name)

    async def stop(self, *, hurry: asyncio.Event) -> None:
        """SIGTERM, then SIGKILL after 30 s or as soon as `hurry` is set."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        if self._keeper is None:
            return
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({self._keeper, hurried}, timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not self._keeper.done():
            self._log.say(f"{self.plan.name} does not end, killing it", style="red")
            self._signal(signal.SIGKILL)
        await self._keeper

    async def _keep_running(self) -> None:
        deaths = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started_at = loop.time()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            # Somebody who kills a process wants it back; only one that ends by itself may be hopeless.
            from_outside = code == -signal.SIGKILL
            deaths = 1 if from_outside or loop.time() - started_at > CALM_S else deaths + 1
            pause_s = pause_after(deaths)
            self._log.say(f"{self.plan.name} ended ({_told(code)}); again in {pause_s:.1f} s", style="red")
            if deaths == HOPELESS_DEATHS:
                self._log.say(
                    f"{self.plan.name} ends at once each time: see what it says above. "
                    f"It is tried again every {HOPELESS_PAUSE_S:.0f} s.",
                    style="bold red",
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    async def _run_once(self) -> int | None:
        try:
            process = self._spawn()
        except OSError as error:
            self._log.say(f"{self.plan.name} cannot be started: {error.strerror}", style="red")
            return None
        self._process, self.pid = process, process.pid
        if self._stopping.is_set():  # told to stop while the process was being made
            self._signal(signal.SIGTERM)
        copying = asyncio.create_task(self._copy_output(process))
        # asyncio's own wait ends, in some versions, only once nobody holds the pipe; a child that the
        # process leaves behind would hold it for ever.
        # The end of its output tells at once, as a rule.
        while process.poll() is None:
            if copying.done():
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                await asyncio.wait({copying}, timeout=_LOOK_EVERY_S)
        self._process, self.pid = None, None
        self._kill_group(process.pid)
        await asyncio.wait({copying}, timeout=_LAST_WORDS_S)
        copying.cancel()
        return process.returncode

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.plan.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=dict(self.plan.environment),
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- prctl can be called nowhere else
        )

    async def _copy_output(self, process: subprocess.Popen[bytes]) -> None:
        reader = asyncio.StreamReader(limit=_LONGEST_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        with contextlib.closing(transport):
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit, which readline has thrown away
                    self._log.line(self.plan.name, "(a line of more than 1 MiB)")
                    continue
                if not line:
                    return
                self._log.line(self.plan.name, line.decode("utf-8", "replace"))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    @staticmethod
    def _kill_group(pid: int) -> None:
        """What the process may have left behind in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


async def stop_in_order(processes: Sequence[SupervisedProcess], *, hurry: asyncio.Event) -> None:
    """Stop the stages from the last to the first, those of one stage together."""
    for stage in sorted({process.plan.stage for process in processes}, reverse=True):
        await asyncio.gather(
            *(process.stop(hurry=hurry) for process in processes if process.plan.stage == stage)
        )


async def wait_healthy(processes: Sequence[SupervisedProcess], *, timeout_s: float) -> list[str]:
    """Wait until each answers at `/health`; the names of those that did not within the time."""
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        waiting = {process.plan.name: f"{process.plan.url}/health" for process in processes}
        deadline = asyncio.get_running_loop().time() + timeout_s
        while waiting and asyncio.get_running_loop().time() < deadline:
            for name, url in list(waiting.items()):
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(url)).is_success:
                        del waiting[name]
            if waiting:
                await asyncio.sleep(0.1)
    return list(waiting)


def _told(code: int | None) -> str:
    if code is None:
        return "never ran"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
