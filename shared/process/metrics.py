"""Metrics for Prometheus: the registry, and what every process counts.

Definitions of a package's own metrics stand in that package and are made against `REGISTRY`.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry(auto_describe=True)
"""The one registry of this process."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# One more series for each, and nobody asks when a counter was made.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library left this one out
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def counter(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
    """Only ever rises; `name` without the suffix `_total`."""
    return Counter(f"carillon_{name}", help_text, labels, registry=REGISTRY)


def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
    """Rises and falls."""
    return Gauge(f"carillon_{name}", help_text, labels, registry=REGISTRY)


def histogram(name: str, help_text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
    """How often and how long or large; bounds of the buckets in the unit that `name` ends with."""
    return Histogram(f"carillon_{name}", help_text, labels, buckets=buckets, registry=REGISTRY)


def exposition() -> bytes:
    """Everything, in the text format of Prometheus."""
    return generate_latest(REGISTRY)
