"""More than it can take; and everything at once."""

from collections.abc import Callable

from carillon.prove.experiment import Experiment
from carillon.prove.installation import Setting
from carillon.prove.report import timed_out
from carillon.prove.scenario import Load, Scenario, Size
from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.journal import Asked
from carillon.prove.witness.verdict import Verdict
from shared.process.crash_points import CrashPoint

_OFFERED_PER_S = 3000.0
"""Ten times what the whole way sustains on two cores that carry the client and the providers as well."""
_CONNECTIONS = 240
_PLACES = "160"
"""As many as two cores that carry everything work off within a second; see docs/decisions/0007."""
_SLOWEST_ACCEPT_MS = 1000.0
_SLOWEST_REFUSAL_MS = 100.0


def _overloaded(experiment: Experiment) -> None:
    with experiment.fault("overload"):
        experiment.pause(experiment.pick(3, 12, 120))
        experiment.stop_load()


def _quick_answers(experiment: Experiment, verdict: Verdict) -> list[str]:
    wrong = timed_out(verdict)
    asked = [record.t for record in experiment.load.told() if isinstance(record, Asked)]
    sent = [effect.t for effect in experiment.effects()]
    experiment.figures["asked_per_s"] = round(_per_second(asked), 1)
    experiment.figures["sent_per_s"] = round(_per_second(sent), 1)
    if verdict.p99_ms is None or verdict.p99_ms > _SLOWEST_ACCEPT_MS:
        wrong.append(f"accepting took {verdict.p99_ms} ms (p99)")
    if verdict.refusal_p99_ms is None:
        wrong.append("nothing was refused: this was no overload")
    elif verdict.refusal_p99_ms > _SLOWEST_REFUSAL_MS:
        wrong.append(f"refusing took {verdict.refusal_p99_ms:.0f} ms (p99)")
    return wrong


def _per_second(times: list[float]) -> float:
    """From the first to the last."""
    return len(times) / (max(times) - min(times))


def _everything(experiment: Experiment) -> None:
    faults = (
        lambda: experiment.kill("gateway"),
        lambda: experiment.kill("email"),
        lambda: experiment.kill("push"),
        lambda: experiment.kill("user"),
        lambda: experiment.kill("template"),
        lambda: experiment.die_at("email", f"{experiment.random.choice(_POINTS)}"),
        lambda: experiment.freeze("email", 8),
        lambda: experiment.freeze("gateway", 3),
        lambda: _during(experiment, "broker killed", experiment.servers.kill_broker),
        lambda: _during(experiment, "broker wiped", experiment.servers.wipe_broker),
        lambda: _during(experiment, "PostgreSQL killed", experiment.servers.kill_postgres),
        lambda: _during(experiment, "Redis killed", experiment.servers.kill_redis),
        lambda: _rule(experiment, Do.ACCEPT_RESET),
        lambda: _rule(experiment, Do.THROTTLE),
        lambda: _rule(experiment, Do.TROUBLE),
        lambda: _wire(experiment, "broker"),
        lambda: _wire(experiment, "postgres"),
        lambda: _wire(experiment, "fcm"),
    )
    for _ in experiment.times(3, 20, 300):
        experiment.random.choice(faults)()
        experiment.may_doubt_all()
        experiment.pause(experiment.random.uniform(0.5, 6.0))


_POINTS = (CrashPoint.CLAIM_COMMITTED, CrashPoint.PROVIDER_ANSWERED, CrashPoint.SETTLEMENT_COMMITTED)
"""Those that every mail comes by."""


def _during(experiment: Experiment, name: str, strike: Callable[[], None]) -> None:
    with experiment.fault(name):
        strike()


def _rule(experiment: Experiment, do: Do) -> None:
    rule = Rule(do=do, share=0.2, first=2)
    with experiment.misbehaving(rule, name=do, doubtful_share=0.5):
        experiment.pause(3)


def _wire(experiment: Experiment, wire: str) -> None:
    with experiment.fault(f"{wire} unreachable"):
        experiment.random.choice((experiment.wires.black_hole, experiment.wires.reset))(wire)
        experiment.pause(5)
        experiment.wires.let_pass(wire)


SCENARIOS = (
    Scenario(
        number=21,
        name="overload",
        says="3,000 requests a second over 240 connections: many times what it can take",
        play=_overloaded,
        load=Load(rate=_OFFERED_PER_S, connections=_CONNECTIONS, retries=False),
        setting=Setting(environment={"gateway": {"CARILLON_PLACES": _PLACES}}),
        judge=_quick_answers,
        recovers=False,
    ),
    Scenario(
        number=22,
        name="random mix",
        says="whatever the seed says, one after another",
        play=_everything,
        setting=Setting(through=frozenset({"broker", "postgres", "fcm"})),
        parks=True,
        sizes=frozenset({Size.FULL}),
    ),
)
