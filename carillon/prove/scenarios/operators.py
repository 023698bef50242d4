"""Operators send again what failed, all at the same time, and something dies meanwhile."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx

from carillon.prove.experiment import Experiment
from carillon.prove.scenario import Load, Scenario
from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.verdict import Verdict
from carillon.setup_error import SetupError

_OPERATORS = 2
_PER_SECOND = 100
_ENDS_WITHIN_S = 90.0
_LOOK_EVERY_S = 0.5
_UNDER_WAY = ("accepted", "queued", "sending", "retrying")
_RUNNING = "running"


def _reprocessed_twice(experiment: Experiment) -> None:
    since = datetime.now(UTC).isoformat()
    every, begun = {"notification_type": "email", "since": since}, {"created_after": since}
    experiment.mail.set_rules(Rule(do=Do.REFUSE))
    experiment.pause(experiment.pick(4, 10, 60))
    experiment.stop_load()
    with experiment.installation.api() as api:
        _wait(lambda: not any(_items(api, "/notifications", status=each, **begun) for each in _UNDER_WAY))
        if not _items(api, "/failed", **every):
            experiment.complaints.append("nothing had failed")
        experiment.mail.set_rules()
        order = {"filter": every, "per_second": _PER_SECOND}
        with experiment.fault("gateway and email service killed"):
            operators = [threading.Thread(target=_order, args=(api, order)) for _ in range(_OPERATORS)]
            for operator in operators:
                operator.start()
            experiment.pause(experiment.random.uniform(0.3, 0.8))
            experiment.kill("email")
            experiment.kill("gateway")
            for operator in operators:
                operator.join()
        _wait(lambda: all(job["status"] != _RUNNING for job in _items(api, "/failed/jobs")))
        # A job stops by itself where its first batch failed, as it may with a service killed in its middle.
        _order(api, order)
        _wait(lambda: all(job["status"] != _RUNNING for job in _items(api, "/failed/jobs")))


def _order(api: httpx.Client, order: Mapping[str, object]) -> None:
    """Asked again until it is answered: a job more sends nothing twice."""
    _wait(lambda: api.post("/failed/reprocess", json=order).is_success)


def _items(api: httpx.Client, path: str, **query: str) -> list[dict[str, object]]:
    return list(api.get(path, params=query).raise_for_status().json()["items"])


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise SetupError(f"The failures were not dealt with within {_ENDS_WITHIN_S:g} s.")
        time.sleep(_LOOK_EVERY_S)


def _all_sent(_experiment: Experiment, verdict: Verdict) -> list[str]:
    return [f"{verdict.parked} were not sent again"] if verdict.parked else []


SCENARIOS = (
    Scenario(
        number=20,
        name="reprocessed twice",
        says="two operators send all failures again at once; gateway and email service are killed meanwhile",
        play=_reprocessed_twice,
        load=Load(rate=40, channels={"email": 1.0}),
        judge=_all_sent,
        recovers=False,
    ),
)
