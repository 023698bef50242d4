"""Providers take their time, break off, refuse, and say nothing; messages that end who handles them."""

from carillon.prove.experiment import CALLS_IN_FLIGHT, Experiment
from carillon.prove.installation import Setting
from carillon.prove.latencies import deliveries
from carillon.prove.scenario import Load, Scenario
from carillon.prove.witness.behaviour import Do, Rule
from carillon.prove.witness.journal import Intent, read_journal
from carillon.prove.witness.marks import POISON
from carillon.prove.witness.verdict import Verdict

_RESET_SHARE = 0.05
_MOST_SLOWER = 1.2
_NOISE_MS = 20.0
"""Two runs of the same thing differ by so much on a busy machine."""
_POISON_SHARE = 0.01


def _accepts_and_resets(experiment: Experiment) -> None:
    experiment.pause(1)
    rule = Rule(do=Do.ACCEPT_RESET, share=_RESET_SHARE)
    with experiment.misbehaving(rule, name="accept, then reset", doubtful_share=2 * _RESET_SHARE):
        experiment.pause(experiment.pick(4, 15, 120))


def _provider_hangs(experiment: Experiment) -> None:
    seconds = experiment.pick(5, 15, 60)
    experiment.pause(2)
    with experiment.phase("calm"):
        experiment.pause(seconds)
    with experiment.fault("the mail server hangs"), experiment.phase("hang"):
        experiment.mail.set_rules(Rule(do=Do.HANG))
        experiment.pause(seconds)
        experiment.mail.set_rules()
        experiment.mail.release()
    experiment.may_doubt_all()


def _others_go_on(experiment: Experiment, _verdict: Verdict) -> list[str]:
    calm = deliveries(experiment, channel="push", phase="calm")
    hang = deliveries(experiment, channel="push", phase="hang")
    if not calm or not hang:
        return ["no push was delivered to compare"]
    experiment.figures["push_p99_calm_ms"] = calm.p99_ms
    experiment.figures["push_p99_hang_ms"] = hang.p99_ms
    if hang.p99_ms > calm.p99_ms * _MOST_SLOWER + _NOISE_MS:
        return [f"push took {hang.p99_ms:.0f} ms (p99) while mail hung, {calm.p99_ms:.0f} before"]
    return []


def _throttling_storm(experiment: Experiment) -> None:
    experiment.pause(1)
    with experiment.misbehaving(Rule(do=Do.THROTTLE, share=0.5, seconds=1), name="429"):
        experiment.pause(experiment.pick(4, 12, 120))


def _poisoned(experiment: Experiment) -> None:
    with experiment.fault("poison"):
        experiment.pause(experiment.pick(8, 15, 120))
    deaths = experiment.nursery.deaths("email")
    if not deaths:
        experiment.complaints.append("no mail ended its process")
    # Every poisonous mail ends a process several times, with whatever that had in flight.
    experiment.may_doubt((deaths + 6) * CALLS_IN_FLIGHT)


def _all_poison_parked(experiment: Experiment, verdict: Verdict) -> list[str]:
    deadly = sum(
        isinstance(record, Intent) and record.channel == "email" and POISON in record.mark
        for record in read_journal(experiment.load.journal)
    )
    if not 0 < verdict.parked == deadly:
        return [f"{verdict.parked} were parked, of {deadly} that are deadly"]
    return []


def _trouble_and_garbage(experiment: Experiment) -> None:
    for do in (Do.TROUBLE, Do.REFUSE_TEMPORARILY, Do.RESET, Do.GARBAGE, Do.ACCEPT_SILENT, Do.SLOW):
        rule = Rule(do=do, share=0.2, first=2, seconds=1)
        with experiment.misbehaving(rule, name=do, doubtful_share=0.5):
            experiment.pause(experiment.pick(1, 4, 30))
    experiment.may_doubt_all()


SCENARIOS = (
    Scenario(
        number=13,
        name="accept, then reset",
        says="of one call in twenty the provider takes the message and resets the connection",
        play=_accepts_and_resets,
    ),
    Scenario(
        number=14,
        name="provider hangs",
        says="the mail server answers nothing; push is as quick as before (p99: 20 % and 20 ms at most)",
        play=_provider_hangs,
        load=Load(channels={"email": 0.5, "push": 0.5}),
        judge=_others_go_on,
    ),
    Scenario(
        number=15,
        name="429 storm",
        says="both providers answer every second call with 429",
        play=_throttling_storm,
    ),
    Scenario(
        number=16,
        name="poison",
        says="one mail in a hundred ends the process that handles it",
        play=_poisoned,
        setting=Setting(poisonable=frozenset({"email"})),
        load=Load(poison_share=_POISON_SHARE),
        judge=_all_poison_parked,
        parks=True,
    ),
    Scenario(
        number=23,
        name="providers in trouble",
        says="one call in five meets 4yz and 5xx, a reset, rubbish, silence, slowness, one after another",
        play=_trouble_and_garbage,
    ),
)
