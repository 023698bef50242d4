"""What the ledger says in the end."""

import msgspec


class Example(msgspec.Struct, frozen=True):
    """One violation: of which mark, which notification (empty where there is none), and what it is."""

    mark: str
    id: str
    what: str


class Recovery(msgspec.Struct, frozen=True):
    """Seconds from the end of a fault to the first 202 and the first effect after it, whichever came later;
    null where one of the two never came."""

    fault: str
    s: float | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of marks, unless something else is said.

    What was asked for: `intended`; of these `accepted`: a request was answered 202 (in a batch: the entry has
    an id), or, counted in `in_doubt_accepted` as well, the API shows a notification although no request was
    answered, or only with a 503 that leaves it open; `refused`: certainly not taken, or never asked for;
    `in_doubt_nought`: nobody knows, and the API shows none.

    What came of it: `sent`: accepted, with at least one effect. `effects`: effects of marks that were
    intended. Notifications by their last status in the API are `statuses`, of which `parked` (failed),
    `unknown`, `suppressed`, `expired`, `cancelled` and `discarded` are the visible ends.

    What must be 0: `lost`: accepted, without an effect and without a visible end, so with what is stuck; and
    whatever the API does not know any more. `sent_without_effect`: the part of it that the API calls sent,
    delivered or bounced. `silent_duplicates`: effects beyond the first of one mark, unless the API says
    possible_duplicate; further notifications of one mark; effects on another recipient than the first.
    `stuck`: not seen at an end in time. `unaccepted`: effects of marks that nobody intended, that were
    certainly refused, or of which the API shows nothing; and notifications that the API shows although it
    refused them. `contradictions`: failed, suppressed, expired or cancelled, with an effect.
    `server_errors`: answers 5xx but 503.

    To be looked at: `flagged`: with possible_duplicate; `possible_duplicates`: effects beyond the first of
    those. `undecided`: effects of a doubtful mark where the API could not be read whole. `unmarked`: effects
    without any mark.

    Times: `p50_ms` and `p99_ms` of asks for a single notification that were answered 202, each ask by
    itself, and `refusal_p99_ms` of 429 and 503; `longest_503_ms`. `accepted_per_s`: from the first intent to
    the last acceptance. `recovery_s`: the longest of `recoveries`, null where one is null or there is none.
    `answers` and `silences` count requests, by status and by cause; `asks` counts those that went out.

    `read_whole`: the API was read to its last page. `settled`: the providers came to rest in time.
    """

    intended: int
    accepted: int
    in_doubt_accepted: int
    in_doubt_nought: int
    refused: int
    sent: int
    effects: int
    lost: int
    sent_without_effect: int
    silent_duplicates: int
    possible_duplicates: int
    flagged: int
    parked: int
    unknown: int
    suppressed: int
    expired: int
    cancelled: int
    discarded: int
    stuck: int
    unaccepted: int
    undecided: int
    contradictions: int
    unmarked: int
    statuses: dict[str, int]
    asks: int
    answers: dict[str, int]
    silences: dict[str, int]
    status_5xx: int
    server_errors: int
    p50_ms: float | None
    p99_ms: float | None
    refusal_p99_ms: float | None
    longest_503_ms: float | None
    accepted_per_s: float | None
    recovery_s: float | None
    recoveries: list[Recovery]
    examples: dict[str, list[Example]]
    read_whole: bool
    settled: bool
