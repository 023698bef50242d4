"""PostgreSQL, the broker, Redis, and services of our own: away, frozen, emptied."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import psutil

from carillon.prove.experiment import Experiment
from carillon.prove.installation import NOBODY_ASKS_TWICE, Setting
from carillon.prove.report import timed_out
from carillon.prove.scenario import Load, Scenario
from carillon.prove.wires.orders import Direction
from carillon.prove.witness.control import Control
from carillon.prove.witness.verdict import Verdict

_PUSHES_MEANWHILE = 30
"""With twice as many mails that wait, by the load's shares."""
_BEGINS_WITHIN_S = 30.0
_PILES_UP_WITHIN_S = 5.0
"""A service that stands still for half a minute ends by itself."""
_MOST_GROWTH_MB = 60.0
_RESUMES_WITHIN_S = 30.0
_SLOWEST_503_MS = 3000.0
_TORN_WITHIN_BYTES = 10_000


def _broker_killed(experiment: Experiment) -> None:
    for _ in experiment.times(1, 10, 50):
        experiment.pause(experiment.random.uniform(0.5, 1.5))
        with experiment.fault("broker killed"):
            experiment.servers.kill_broker()


def _broker_wiped(experiment: Experiment) -> None:
    mail, fcm = experiment.mail, experiment.fcm
    for _ in experiment.times(1, 3, 20):
        experiment.wait(partial(_more_effects, mail, mail.counts().effects + 50), within_s=_BEGINS_WITHIN_S)
        # With the channel standing still, there is something to lose.
        with experiment.fault("broker wiped"):
            experiment.nursery.freeze("email")
            pushed = fcm.counts().effects + _PUSHES_MEANWHILE
            experiment.wait(partial(_more_effects, fcm, pushed), within_s=_PILES_UP_WITHIN_S)
            experiment.servers.wipe_broker()
            experiment.nursery.wake("email")
        experiment.may_doubt_all()


def _more_effects(provider: Control, than: int) -> bool:
    return provider.counts().effects > than


def _postgres_killed(experiment: Experiment) -> None:
    for _ in experiment.times(2, 10, 50):
        experiment.pause(experiment.random.uniform(0.5, 1.5))
        with experiment.fault("PostgreSQL killed"):
            experiment.servers.kill_postgres()
        experiment.may_doubt_all()


def _soon_again(_experiment: Experiment, verdict: Verdict) -> list[str]:
    wrong = []
    if verdict.recovery_s is None or verdict.recovery_s > _RESUMES_WITHIN_S:
        wrong.append(f"it did not go on within {_RESUMES_WITHIN_S:g} s")
    return wrong


def _postgres_frozen(experiment: Experiment) -> None:
    experiment.pause(2)
    gateway = psutil.Process(experiment.nursery.pid("gateway"))
    before = gateway.memory_info().rss
    with experiment.fault("PostgreSQL frozen"), experiment.servers.frozen_postgres():
        experiment.pause(experiment.pick(6, 20, 60))
        growth_mb = (gateway.memory_info().rss - before) / 1e6
    experiment.may_doubt_all()
    experiment.figures["memory_growth_mb"] = round(growth_mb, 1)
    if growth_mb > _MOST_GROWTH_MB:
        experiment.complaints.append(f"the gateway grew by {growth_mb:.0f} MB")


def _503_in_time(_experiment: Experiment, verdict: Verdict) -> list[str]:
    wrong = timed_out(verdict)
    if verdict.longest_503_ms is None:
        wrong.append("no request was answered 503 while nothing could be stored")
    elif verdict.longest_503_ms > _SLOWEST_503_MS:
        wrong.append(f"a 503 took {verdict.longest_503_ms:.0f} ms")
    return wrong


def _redis_emptied_and_killed(experiment: Experiment) -> None:
    for _ in experiment.times(1, 3, 20):
        experiment.pause(1)
        with experiment.fault("Redis flushed"):
            experiment.servers.flush_redis()
        experiment.pause(1)
        with experiment.fault("Redis killed"):
            experiment.servers.kill_redis()


def _half_open(experiment: Experiment) -> None:
    for _ in experiment.times(1, 2, 10):
        experiment.pause(1)
        with experiment.fault("broker half open"):
            experiment.wires.half_open("broker")
        experiment.pause(experiment.pick(4, 10, 60))
        with experiment.fault("what goes to the broker is lost"):
            experiment.wires.black_hole("broker", Direction.TO_SERVER, swallow=True)
            experiment.pause(2)
            experiment.wires.cut("broker")
            experiment.wires.let_pass("broker")


def _peers_away(experiment: Experiment) -> None:
    for _ in experiment.times(1, 1, 10):
        for service in ("user", "template"):
            experiment.pause(1)
            with experiment.fault(f"{service} service away"):
                experiment.stop(service)
                experiment.pause(experiment.pick(3, 8, 60))
                experiment.installation.start(service)


def _disk_full(experiment: Experiment) -> None:
    disk = experiment.servers.disk
    assert disk is not None  # noqa: S101 -- the scenario asks for it
    for _ in experiment.times(1, 1, 5):
        experiment.pause(2)
        with experiment.fault("disk full"):
            with disk.filled():
                experiment.pause(experiment.pick(4, 8, 60))
            experiment.servers.revive_postgres()
        experiment.may_doubt_all()


def _cut_off(experiment: Experiment) -> None:
    wires, fate = experiment.wires, experiment.random

    def refuse(wire: str) -> None:
        wires.refuse(wire)
        wires.cut(wire)

    def tear(wire: str) -> None:
        direction = fate.choice((Direction.TO_SERVER, Direction.TO_CLIENT))
        wires.tear(wire, direction, after_bytes=fate.randrange(1, _TORN_WITHIN_BYTES))

    ways: tuple[tuple[str, Callable[[str], None]], ...] = (
        ("unreachable", wires.black_hole),
        ("deaf", lambda wire: wires.black_hole(wire, Direction.TO_SERVER)),
        ("mute", lambda wire: wires.black_hole(wire, Direction.TO_CLIENT)),
        ("resetting", wires.reset),
        ("refusing", refuse),
        ("torn", tear),
        ("slow", lambda wire: wires.delay(wire, 0.2, jitter_s=0.2, seed=experiment.seed)),
        ("half open", wires.half_open),
    )
    for _ in experiment.times(1, 1, 20):
        for dependency in sorted(_DEPENDENCIES):
            how, act = fate.choice(ways)
            with experiment.fault(f"{dependency} {how}"):
                act(dependency)
                experiment.pause(experiment.pick(1, 4, 30))
                wires.let_pass(dependency)
            experiment.may_doubt_all()


_DEPENDENCIES = frozenset({"postgres", "broker", "redis", "user", "template", "mail", "fcm"})

SCENARIOS = (
    Scenario(
        number=5,
        name="broker killed",
        says="kill -9 of RabbitMQ, or of every connection to the broker's database",
        play=_broker_killed,
        load=Load(rate=12, batch=8),
        setting=NOBODY_ASKS_TWICE,
    ),
    Scenario(
        number=6,
        name="broker wiped",
        says="the broker loses everything it held",
        play=_broker_wiped,
        setting=NOBODY_ASKS_TWICE,
    ),
    Scenario(
        number=7,
        name="PostgreSQL killed",
        says="kill -9 of the database; answers are 503 and no other 5xx",
        play=_postgres_killed,
        judge=_soon_again,
    ),
    Scenario(
        number=8,
        name="PostgreSQL frozen",
        says="the database stands still; 503 within 3 s, memory stays",
        play=_postgres_frozen,
        judge=_503_in_time,
    ),
    Scenario(
        number=9,
        name="Redis flushed, killed",
        says="Redis forgets everything, and dies",
        play=_redis_emptied_and_killed,
    ),
    Scenario(
        number=11,
        name="broker half open",
        says="the broker's side of every connection is gone, and ours does not learn of it; bytes are lost",
        play=_half_open,
        setting=replace(NOBODY_ASKS_TWICE, through=frozenset({"broker"})),
    ),
    Scenario(
        number=12,
        name="user, template away",
        says="the user service is away, then the template service",
        play=_peers_away,
        load=Load(to_users=True),
    ),
    Scenario(
        number=24,
        name="cut off",
        says="each dependency in turn unreachable, deaf, mute, resetting, refusing, torn, slow or half open",
        play=_cut_off,
        setting=Setting(through=_DEPENDENCIES),
    ),
    Scenario(
        number=17,
        name="disk full",
        says="no byte is left for PostgreSQL",
        play=_disk_full,
        on_a_small_disk=True,
    ),
)
