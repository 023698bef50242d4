"""What the ledger is told."""

import msgspec


class LedgerPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which journals to hold against the API at `url` (http://host:port). The file holds a secret: mode 0600.

    `clients`, `providers` and `faults` are paths of journals; `verdict` is where the verdict goes. With
    `only_marks_prefix` only marks count that a client made of this prefix; recovery and answers count of
    all.

    `stuck_after_s`: so long after it was accepted, or after the last fault, a notification may take to its
    end. `patience_s`: how long the ledger waits in all. `settle_s`: the providers' journals are read for the
    last time once nothing was added to them for so long. `requests_per_s`: of what is still open.
    """

    clients: list[str]
    providers: list[str]
    faults: list[str]
    url: str
    authorization: str
    verdict: str
    only_marks_prefix: str | None = None
    stuck_after_s: float = 60.0
    patience_s: float = 180.0
    settle_s: float = 2.0
    requests_per_s: float = 10.0
