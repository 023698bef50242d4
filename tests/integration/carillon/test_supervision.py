"""The supervisor with real processes: they come back, and they go."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from carillon.console import MergedLog
from carillon.orphans import end_orphans, note
from carillon.plan import ProcessPlan
from carillon.supervisor import SupervisedProcess, stop_in_order

PATIENCE_S = 10.0
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN)\n" + SLEEPER
LEAVES_A_CHILD = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)\n" + SLEEPER


def a_process(code: str, *, sink: io.StringIO, name: str = "sleeper", stage: int = 1) -> SupervisedProcess:
    plan = ProcessPlan(
        name=name, command=(sys.executable, "-c", code), environment=dict(os.environ), stage=stage, url=""
    )
    return SupervisedProcess(plan, folder=Path("/"), log=MergedLog(sink))


def runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_what_is_killed_comes_back_within_five_seconds() -> None:
    sink = io.StringIO()
    process = a_process(SLEEPER, sink=sink)
    process.start()
    try:
        await eventually(lambda: process.pid and "up" in sink.getvalue())
        first = process.pid
        assert first is not None
        started = asyncio.get_running_loop().time()
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: process.pid not in (None, first))
        assert asyncio.get_running_loop().time() - started < 5
        assert "sleeper ended (killed by SIGKILL)" in sink.getvalue()
    finally:
        await process.stop(hurry=asyncio.Event())


async def test_stopping_ends_it_and_brings_nothing_back() -> None:
    sink = io.StringIO()
    process = a_process(SLEEPER, sink=sink)
    process.start()
    await eventually(lambda: "up" in sink.getvalue())
    pid = process.pid
    assert pid is not None
    await process.stop(hurry=asyncio.Event())
    assert not psutil.pid_exists(pid)
    assert process.pid is None


async def test_stopping_one_that_waits_to_be_started_again_does_not_wait() -> None:
    sink = io.StringIO()
    process = a_process("raise SystemExit(3)", sink=sink)
    process.start()
    await eventually(lambda: sink.getvalue().count("exit code 3") >= 2)
    async with asyncio.timeout(2):
        await process.stop(hurry=asyncio.Event())


async def test_in_a_hurry_what_does_not_end_is_killed() -> None:
    sink = io.StringIO()
    process = a_process(STUBBORN, sink=sink)
    process.start()
    await eventually(lambda: "up" in sink.getvalue())
    hurry = asyncio.Event()
    stopping = asyncio.create_task(process.stop(hurry=hurry))
    await asyncio.sleep(0)
    assert not stopping.done()
    hurry.set()
    async with asyncio.timeout(5):
        await stopping


async def test_a_child_that_a_killed_service_leaves_is_ended_too() -> None:
    sink = io.StringIO()
    process = a_process(LEAVES_A_CHILD, sink=sink)
    process.start()
    await eventually(lambda: "up" in sink.getvalue())
    grandchild = int(sink.getvalue().split()[1])
    await process.stop(hurry=asyncio.Event())
    await eventually(lambda: not runs(grandchild))


async def test_later_stages_stop_before_earlier_ones() -> None:
    sink = io.StringIO()
    says_bye = (
        "import signal, sys, time\n"
        "def bye(*_):\n    print('bye', flush=True); sys.exit(0)\n"
        "signal.signal(15, bye)\n" + SLEEPER
    )
    processes = [
        a_process(says_bye, sink=sink, name=name, stage=stage)
        for name, stage in (("tool", 0), ("store", 1), ("channel", 2))
    ]
    for process in processes:
        process.start()
    await eventually(lambda: sink.getvalue().count("up") == 3)
    await stop_in_order(processes, hurry=asyncio.Event())
    byes = [line.split()[0] for line in sink.getvalue().splitlines() if line.endswith("bye")]
    assert byes == ["channel", "store", "tool"]


async def test_a_process_of_a_former_run_is_ended_but_never_one_that_got_its_id() -> None:
    process = subprocess.Popen(["sleep", "600"])
    noted = note("service", process.pid)
    assert noted is not None
    stranger = type(noted)(name="service", pid=noted.pid, started_at=noted.started_at - 3600)
    assert await asyncio.to_thread(end_orphans, [stranger]) == []
    assert runs(process.pid)
    assert await asyncio.to_thread(end_orphans, [noted]) == ["service"]
    process.wait(5)
    assert not runs(process.pid)
