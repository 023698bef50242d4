"""How long mails wait for their commits: what the services say of their group commits at /metrics.

A service observes each group once and not each mail; what the items of a group have waited is added up, so
that the mean of a mail is exact and its percentiles are not known.
"""

from collections.abc import Iterable, Mapping

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from carillon.setup_error import SetupError

ACCEPTANCE, CLAIM, SETTLEMENT, REPORTS = "acceptance", "ledger.claim", "ledger.settlement", "reports.storing"
"""The kinds of groups that make up the guarantees, as the services name them."""

_GROUPS = "carillon_group_commit_seconds_count"
_LONGEST_S = "carillon_group_commit_seconds_sum"
_ITEMS = "carillon_group_commit_items_sum"
_WAITED_S = "carillon_group_commit_waited_seconds_total"
_SERIES = (_GROUPS, _LONGEST_S, _ITEMS, _WAITED_S)

Totals = Mapping[tuple[str, str], float]
"""By the name of a series and that of a group, processes added up."""


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of one kind that were written, `size` items in each on average. `wait_ms` is what an item has
    waited on average, from being handed in to being committed; `longest_ms` what the first of a group has."""

    count: int
    size: float
    wait_ms: float
    longest_ms: float


def scraped(addresses: Iterable[str]) -> Totals:
    """As the processes at these addresses count now. Raises SetupError where one does not answer."""
    texts = []
    with httpx.Client(trust_env=False) as client:
        for address in addresses:
            try:
                texts.append(client.get(f"{address}/metrics").raise_for_status().text)
            except httpx.HTTPError as error:
                raise SetupError(f"{address}/metrics does not answer: {error}") from error
    return totals(texts)


def totals(texts: Iterable[str]) -> Totals:
    """From what /metrics says, in the text format of Prometheus."""
    found: dict[tuple[str, str], float] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _SERIES:
                    key = (sample.name, sample.labels["group"])
                    found[key] = found.get(key, 0.0) + sample.value
    return found


def groups_between(before: Totals, after: Totals) -> dict[str, Groups]:
    """What was written meanwhile, by the kind of group; kinds of which nothing was are left out."""
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    found = {}
    for name in sorted({group for series, group in grown if series == _GROUPS}):
        count, items = grown[_GROUPS, name], grown[_ITEMS, name]
        if count and items:
            found[name] = Groups(
                count=round(count),
                size=items / count,
                wait_ms=1000 * grown[_WAITED_S, name] / items,
                longest_ms=1000 * grown[_LONGEST_S, name] / count,
            )
    return found
