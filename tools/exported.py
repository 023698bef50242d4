"""Every metric that any of the processes exports, as the code defines them."""

import importlib
import re

from prometheus_client.metrics_core import Metric

from carillon.services import SERVICES
from shared.process.metrics import REGISTRY

_SERIES = re.compile(r"\bcarillon_[a-z0-9_]+")
_ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def metrics() -> dict[str, Metric]:
    """Ours by name, without what a kind of metric appends to it."""
    for service in SERVICES:
        importlib.import_module(f"{service.module}.main")
    return {metric.name: metric for metric in REGISTRY.collect() if metric.name.startswith("carillon_")}


def series() -> set[str]:
    """The names under which Prometheus keeps them."""
    return {name + ending for name, metric in metrics().items() for ending in _ENDINGS[metric.type]}


def series_in(text: str) -> set[str]:
    """The names of ours in an expression or a page."""
    return set(_SERIES.findall(text))


def labels(name: str) -> tuple[str, ...]:
    """The names of a metric's labels, which the library keeps to itself until there are values."""
    return tuple(REGISTRY._names_to_collectors[name]._labelnames)  # type: ignore[attr-defined]
