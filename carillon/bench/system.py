"""What is measured, seen from the load generator: Carillon, or the pipeline it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class System:
    """A running one. `own` are its processes, by name; `alone` those of them whose children have names of
    their own. `recipients` are ids, `template` the code of a published template with the variables `name`
    and `order`. `addresses` are those at which services tell of their group commits (/metrics)."""

    name: str
    port: int
    authorization: str
    own: Mapping[str, int]
    alone: frozenset[str]
    recipients: Sequence[str]
    template: str
    addresses: Sequence[str] = ()
