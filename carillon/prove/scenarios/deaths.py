"""Processes of ours die, freeze, or are replaced."""

from carillon.prove.experiment import Experiment
from carillon.prove.installation import Setting
from carillon.prove.scenario import Load, Scenario
from carillon.prove.witness.verdict import Verdict
from carillon.services import SERVICES
from shared.process.crash_points import CrashPoint

# One is left out: TARGETS_OPENED is passed by notifications to several devices alone.
_WORKERS_POINTS = (
    CrashPoint.MESSAGE_TAKEN,
    CrashPoint.MESSAGE_PREPARED,
    CrashPoint.CLAIM_COMMITTED,
    CrashPoint.PROVIDER_ANSWERED,
    CrashPoint.SETTLEMENT_COMMITTED,
    CrashPoint.OUTCOME_REPORTED,
    CrashPoint.MESSAGE_FINISHED,
)
_KEYS_KEPT_S = 3600.0


def _gateway_killed(experiment: Experiment) -> None:
    for _ in experiment.times(6, 100, 500):
        experiment.kill("gateway")
        experiment.installation.wait_alive("gateway")
        experiment.pause(experiment.random.uniform(0.0, 0.2))


def _relay_killed(experiment: Experiment) -> None:
    for _ in experiment.times(2, 8, 50):
        experiment.die_at("gateway", f"{CrashPoint.RELAY_CONFIRMED}:{experiment.random.randint(1, 10)}")
        experiment.pause(0.3)


def _worker_killed(experiment: Experiment) -> None:
    for _ in experiment.times(1, 1, 10):
        for number, point in enumerate(_WORKERS_POINTS):
            worker = ("email", "push")[number % 2]
            experiment.die_at(worker, f"{point}:{experiment.random.randint(1, 5)}")
        for point in _WORKERS_POINTS[1::2]:
            experiment.die_at("email", f"{point}:{experiment.random.randint(1, 5)}")


def _keyed_worker_killed(experiment: Experiment) -> None:
    experiment.mail.set_keys(_KEYS_KEPT_S)
    for _ in experiment.times(1, 1, 10):
        for point in _WORKERS_POINTS:
            experiment.die_at("email", f"{point}:{experiment.random.randint(1, 5)}")


def _one_effect_each(_experiment: Experiment, verdict: Verdict) -> list[str]:
    wrong = []
    if verdict.possible_duplicates or verdict.flagged:
        wrong.append(f"{verdict.flagged} flagged, {verdict.possible_duplicates} sent twice, despite the keys")
    if verdict.unknown:
        wrong.append(f"{verdict.unknown} unknown, despite the keys")
    return wrong


def _worker_frozen(experiment: Experiment) -> None:
    experiment.pause(2)
    experiment.freeze("email", experiment.pick(9, 60, 60))


def _rolling_restarts(experiment: Experiment) -> None:
    experiment.pause(1)
    for _ in experiment.times(1, 1, 10):
        for service in SERVICES:
            for name in (service.name, f"{service.name}-2"):
                experiment.replace(name)


def _no_5xx(_experiment: Experiment, verdict: Verdict) -> list[str]:
    return [f"{verdict.status_5xx} answers were 5xx"] if verdict.status_5xx else []


def _wrong_clocks(experiment: Experiment) -> None:
    hour = 3600.0
    for service, offset_s in (("email", hour), ("gateway", hour), ("email", -hour), ("gateway", -hour)):
        with experiment.fault(f"{service} {offset_s / hour:+.0f} h"):
            experiment.shift_clock(service, offset_s)
            experiment.pause(experiment.pick(2, 4, 30))
            experiment.shift_clock(service, 0.0)
            experiment.installation.wait_ready(service)


SCENARIOS = (
    Scenario(
        number=1,
        name="gateway killed",
        says="kill -9 of the gateway, under 50 clients that ask again with the same key",
        play=_gateway_killed,
        load=Load(rate=None, connections=50),
    ),
    Scenario(
        number=2,
        name="relay killed",
        says="the gateway dies between the broker's confirm and its note",
        play=_relay_killed,
    ),
    Scenario(
        number=3,
        name="worker killed",
        says="channel services die at every crash point",
        play=_worker_killed,
    ),
    Scenario(
        number=4,
        name="worker killed, keys",
        says="the same, with a mail server that takes a Message-ID once",
        play=_keyed_worker_killed,
        setting=Setting(environment={"email": {"CARILLON_SMTP_SAME_MESSAGE_ID_S": f"{_KEYS_KEPT_S:g}"}}),
        load=Load(channels={"email": 1.0}),
        judge=_one_effect_each,
    ),
    Scenario(
        number=10,
        name="worker frozen",
        says="one of two email services stands still for a minute, and goes on",
        play=_worker_frozen,
        setting=Setting(twice=frozenset({"email"})),
    ),
    Scenario(
        number=18,
        name="clocks wrong",
        says="email service and gateway an hour ahead, an hour behind",
        play=_wrong_clocks,
    ),
    Scenario(
        number=19,
        name="rolling restarts",
        says="two of each service, replaced one by one with SIGTERM",
        play=_rolling_restarts,
        setting=Setting(twice=frozenset(service.name for service in SERVICES)),
        judge=_no_5xx,
    ),
)
