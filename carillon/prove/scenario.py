"""What a scenario is: a setting, a load, what is done to the system meanwhile, and what has to come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from carillon.prove.furnishing import ClientChannel
from carillon.prove.installation import Setting

if TYPE_CHECKING:
    from carillon.prove.experiment import Experiment
    from carillon.prove.witness.verdict import Verdict


class Size(StrEnum):
    """How much of everything."""

    SMALL = "small"
    USUAL = "usual"
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What the client asks for while the scenario is played. `rate`: requests a second at fixed times; None:
    each connection asks again as soon as it is answered. `poison_share`: of the mails, those that are deadly.
    `to_users`: to known people in place of mere addresses. Without `retries` a request is asked once."""

    rate: float | None = 80.0
    connections: int = 50
    channels: Mapping[ClientChannel, float] = field(default_factory=lambda: {"email": 0.7, "push": 0.3})
    categories: Mapping[str, float] = field(
        default_factory=lambda: {"transactional": 0.8, "promotional": 0.1, "security": 0.1}
    )
    batch: int = 1
    to_users: bool = False
    poison_share: float = 0.0
    retries: bool = True
    timeout_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`says`: what is done, in a line of the table. `judge`: what is wrong with the outcome, besides what is
    wrong in every scenario; in sentences. `parks`: whether failures for an operator are a good end.
    `recovers`: whether the load goes on to the end, so that it can be seen to be taken after each fault.
    `on_a_small_disk`: PostgreSQL's data lie on a disk that can be filled. `sizes`: of which it is a part."""

    number: int
    name: str
    says: str
    play: "Callable[[Experiment], None]"
    setting: Setting = field(default_factory=Setting)
    load: Load = field(default_factory=Load)
    judge: "Callable[[Experiment, Verdict], list[str]]" = lambda _experiment, _verdict: []
    parks: bool = False
    recovers: bool = True
    on_a_small_disk: bool = False
    sizes: frozenset[Size] = frozenset(Size)
