"""Processes of ours die, freeze, or are replaced."""

from collections import Counter

from carillon.prove.experiment import Experiment
from carillon.prove.installation import NOBODY_ASKS_TWICE, Setting
from carillon.prove.scenario import Load, Scenario, Size
from carillon.prove.witness.behaviour import Do, Rule
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
_IN_FLIGHT_S = 0.25
"""Of each call: at any moment several are under way, and yet a single service keeps up with all of them."""
_IN_FULL_SWING = 50
"""Mails, from both services."""
_BEGINS_WITHIN_S = 30.0
_REPEATED_WITHIN_S = 20.0
"""Twice what it takes a lease to run out and an attempt to be overdue."""
_ALL_REPEATED_S = 1.5
_MOST_TRIES = 3
_MOST_COPIES = 2
_STALL_LIMIT_S = 300.0
"""Else the service would end by itself as soon as it wakes, and have no chance to do wrong."""


def _gateway_killed(experiment: Experiment) -> None:
    for _ in experiment.times(6, 100, 500):
        experiment.kill("gateway")
        experiment.installation.wait_alive("gateway")
        experiment.pause(experiment.random.uniform(0.0, 0.2))


def _relay_killed(experiment: Experiment) -> None:
    for _ in experiment.times(2, 5, 50):
        for point in (CrashPoint.ACCEPT_COMMITTED, CrashPoint.RELAY_CONFIRMED):
            experiment.die_at("gateway", f"{point}:{experiment.random.randint(1, 10)}")
            experiment.pause(0.3)


def _worker_killed(experiment: Experiment) -> None:
    for _ in experiment.times(1, 1, 10):
        for number, point in enumerate(_WORKERS_POINTS):
            worker = ("email", "push")[number % 2]
            experiment.die_at(worker, f"{point}:{experiment.random.randint(1, 5)}")
        # Both channels share their code: small, only what costs a doubt is done to both of them.
        small = experiment.size is Size.SMALL
        for point in (CrashPoint.PROVIDER_ANSWERED,) if small else _WORKERS_POINTS[1::2]:
            experiment.die_at("email", f"{point}:{experiment.random.randint(1, 5)}")


def _keyed_worker_killed(experiment: Experiment) -> None:
    experiment.mail.set_keys(_KEYS_KEPT_S)
    for _ in experiment.times(1, 1, 10):
        for point in _WORKERS_POINTS:
            experiment.die_at("email", f"{point}:{experiment.random.randint(1, 5)}")


def _parked_for_deaths(experiment: Experiment, verdict: Verdict) -> list[str]:
    """Who is alone in hand when its process is killed, twice, is taken for the culprit and waits for an
    operator: visibly, and once for two deaths at most."""
    deaths = experiment.nursery.deaths("email") + experiment.nursery.deaths("push")
    if verdict.parked > deaths / 2:
        return [f"{verdict.parked} failed and wait for an operator, after {deaths} deaths"]
    return []


def _one_effect_each(experiment: Experiment, verdict: Verdict) -> list[str]:
    wrong = _parked_for_deaths(experiment, verdict)
    if verdict.possible_duplicates or verdict.flagged:
        wrong.append(f"{verdict.flagged} flagged, {verdict.possible_duplicates} sent twice, despite the keys")
    if verdict.unknown:
        wrong.append(f"{verdict.unknown} unknown, despite the keys")
    return wrong


def _worker_frozen(experiment: Experiment) -> None:
    mail = experiment.mail
    already = mail.set_rules(
        Rule(do=Do.SLOW, first=1, seconds=_IN_FLIGHT_S), Rule(do=Do.ACCEPT_SILENT, first=2)
    ).effects
    experiment.wait(lambda: mail.counts().effects > already + _IN_FULL_SWING, within_s=_BEGINS_WITHIN_S)
    # What is in flight when one freezes is sent once more by the other service, and has no answer there yet
    # when the frozen one wakes and settles what has become another's. Now and then nothing is in flight.
    for _ in range(_MOST_TRIES):
        with experiment.fault("email frozen"):
            experiment.nursery.freeze("email")
            repeated = experiment.wait(lambda: mail.counts().hanging > 0, within_s=_REPEATED_WITHIN_S)
            experiment.pause(_ALL_REPEATED_S)
            experiment.nursery.wake("email")
        experiment.may_doubt_all()
        if repeated:
            break
    else:
        experiment.complaints.append("nothing was in flight whenever email was frozen")
    mail.set_rules()
    if experiment.size is not Size.SMALL:
        experiment.pause(5)
        experiment.freeze("email", 60)


def _repeated_once(experiment: Experiment, _verdict: Verdict) -> list[str]:
    """A doubt is worth one copy more: it is settled once, by whoever made the attempt or took it over."""
    copies = Counter(effect.mark for effect in experiment.effects())
    often = sum(count > _MOST_COPIES for count in copies.values())
    return [f"{often} sent more than twice"] if often else []


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
        says="the gateway dies before it gives the broker anything, and between its confirm and our note",
        play=_relay_killed,
        setting=NOBODY_ASKS_TWICE,
    ),
    Scenario(
        number=3,
        name="worker killed",
        says="channel services die at every crash point",
        play=_worker_killed,
        judge=_parked_for_deaths,
        parks=True,
    ),
    Scenario(
        number=4,
        name="worker killed, keys",
        says="the same, with a mail server that takes a Message-ID once",
        play=_keyed_worker_killed,
        setting=Setting(environment={"email": {"CARILLON_SMTP_SAME_MESSAGE_ID_S": f"{_KEYS_KEPT_S:g}"}}),
        load=Load(channels={"email": 1.0}),
        judge=_one_effect_each,
        parks=True,
    ),
    Scenario(
        number=10,
        name="worker frozen",
        says="one of two email services stands still while the other takes over, and goes on",
        play=_worker_frozen,
        setting=Setting(
            twice=frozenset({"email"}),
            environment={"email": {"CARILLON_STALL_LIMIT_S": f"{_STALL_LIMIT_S:g}"}},
        ),
        judge=_repeated_once,
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
