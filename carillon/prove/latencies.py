"""How long messages took from the request to the provider, by the witnesses' journals."""

import math
from dataclasses import dataclass

from carillon.prove.experiment import Experiment
from carillon.prove.witness.journal import Intent


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """Of so many messages."""

    count: int
    p99_ms: float


def deliveries(experiment: Experiment, *, channel: str, phase: str) -> Deliveries | None:
    """Of the messages of a channel that were asked for in a phase, from their first request to their first
    effect; None where there were none."""
    begun, ended = experiment.phases[phase]
    asked = {
        record.mark: record.t
        for record in experiment.load.told()
        if isinstance(record, Intent) and record.channel == channel and begun <= record.t < ended
    }
    took: dict[str, float] = {}
    for effect in experiment.effects():
        if effect.mark in asked:
            took.setdefault(effect.mark, effect.t - asked[effect.mark])
    if not took:
        return None
    ordered = sorted(took.values())
    return Deliveries(count=len(ordered), p99_ms=1000 * ordered[math.ceil(0.99 * len(ordered)) - 1])
