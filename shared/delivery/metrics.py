"""What a channel service counts."""

from collections.abc import Iterable

from shared.contracts.channels import Channel
from shared.contracts.delivery import TERMINAL_STATES
from shared.process.metrics import counter, gauge, histogram

OUTCOMES = ("accepted", "rejected", "retryable", "throttled", "unknown")

ATTEMPTS = counter(
    "delivery_attempts", "Calls of a provider by what came of them", ("channel", "provider", "outcome")
)
ENDED = counter("deliveries_ended", "Targets whose run ended, by state", ("channel", "state"))
POSSIBLE_DUPLICATES = counter(
    "delivery_possible_duplicates", "Targets sent once more after a doubt", ("channel",)
)
LATE_RESULTS = counter(
    "delivery_late_results", "Results that came after their lease had run out", ("channel",)
)
UNDECODABLE = counter("delivery_undecodable", "Messages parked since they could not be read", ("channel",))
IN_FLIGHT = gauge(
    "delivery_in_flight", "Messages taken from the broker and not finished", ("channel", "lane")
)
CALL_SECONDS = histogram(
    "provider_call_seconds",
    "How long a provider took to answer",
    ("channel", "provider"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
ACCEPT_TO_PROVIDER_SECONDS = histogram(
    "accept_to_provider_seconds",
    "From acceptance at the gateway to the provider's yes on the first run, immediate messages",
    ("channel", "lane"),
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
LEDGER_OPEN = gauge("ledger_open", "Targets in the ledger that have not ended", ("channel", "state"))
ISOLATED = counter(
    "messages_isolated",
    "Messages handled alone, since they are suspected of ending the process",
    ("channel",),
)


def begin(channel: Channel, *, providers: Iterable[str]) -> None:
    """Have the counters that alerts watch begin at 0: a first rise from nothing is none to Prometheus."""
    for state in TERMINAL_STATES:
        ENDED.labels(channel.value, state.value)
    for provider in providers:
        for outcome in OUTCOMES:
            ATTEMPTS.labels(channel.value, provider, outcome)
