"""Gauges that tell what a database said, and what becomes of them while it says nothing."""

from math import nan

from prometheus_client import Gauge


def unsay(*gauges: Gauge) -> None:
    """These are not known any more: with labels they vanish, without they are NaN, so that neither the last
    value nor a zero pretends that all is well. A comparison with NaN is false and `max` passes over it, so
    other processes that do know are heard; `absent` notices that nobody does."""
    for gauge in gauges:
        # The library keeps the labels' names to itself, and knows no gauge without labels that vanishes.
        if gauge._labelnames:
            gauge.clear()
        else:
            gauge.set(nan)
