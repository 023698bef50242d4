"""The state machine, as tables."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_service.domain.status import RANKS, TargetState, advance, aggregate, in_view_of, is_newer
from shared.contracts.delivery import TERMINAL_STATES, DeliveryState
from shared.contracts.http.notification_answers import NotificationStatus as Status

S = DeliveryState
UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def a_target(state: DeliveryState, *, expected: int = 1, **changes: object) -> TargetState:
    values: dict[str, object] = {"state": state, "expected": expected, "error": f"{state.value}!", **changes}
    return TargetState(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "expected", "status", "closed"),
    [
        ([S.PENDING], 1, Status.QUEUED, False),
        ([S.SENDING], 1, Status.SENDING, False),
        ([S.RETRYING], 1, Status.RETRYING, False),
        ([S.SENT], 1, Status.SENT, True),
        ([S.FAILED], 1, Status.FAILED, True),
        ([S.SUPPRESSED], 1, Status.SUPPRESSED, True),
        ([S.EXPIRED], 1, Status.EXPIRED, True),
        ([S.UNKNOWN], 1, Status.UNKNOWN, True),
        ([S.DEFERRED], 1, Status.DEFERRED, True),
        ([S.SENT], 3, Status.SENT, False),
        ([S.FAILED], 2, Status.QUEUED, False),
        ([S.FAILED, S.RETRYING], 2, Status.RETRYING, False),
        ([S.SENDING, S.RETRYING], 2, Status.RETRYING, False),
        ([S.FAILED, S.SENT], 2, Status.SENT, True),
        ([S.FAILED, S.UNKNOWN], 2, Status.UNKNOWN, True),
        ([S.FAILED, S.FAILED], 2, Status.FAILED, True),
        ([S.FAILED, S.SUPPRESSED], 2, Status.FAILED, True),
        ([S.FAILED, S.DEFERRED], 2, Status.DEFERRED, True),
        ([S.SUPPRESSED, S.EXPIRED], 2, Status.EXPIRED, True),
    ],
)
def test_targets_come_to_one_status(
    states: list[DeliveryState], expected: int, status: Status, closed: bool
) -> None:
    for order in itertools.permutations(states):
        standing = aggregate([a_target(state, expected=expected) for state in order])
        assert (standing.status, standing.closed) == (status, closed)


def test_what_was_sent_has_no_error_although_a_target_failed() -> None:
    standing = aggregate([a_target(S.FAILED, expected=2), a_target(S.SENT, expected=2)])
    assert (standing.status, standing.error) == (Status.SENT, None)


def test_the_error_is_that_of_the_target_which_decides() -> None:
    standing = aggregate([a_target(S.SUPPRESSED, expected=2), a_target(S.FAILED, expected=2)])
    assert standing.error == "failed!"


def test_one_possible_duplicate_marks_the_notification() -> None:
    assert aggregate([a_target(S.SENT, possible_duplicate=True)]).possible_duplicate


def test_a_deferral_ends_with_the_last_of_its_targets() -> None:
    later = UNTIL + timedelta(hours=1)
    targets = [
        a_target(S.DEFERRED, expected=2, deferred_until=later),
        a_target(S.DEFERRED, expected=2, deferred_until=UNTIL),
    ]
    assert aggregate(targets).deferred_until == later


@pytest.mark.parametrize("other", [S.SENT, S.UNKNOWN, S.FAILED, S.SUPPRESSED, S.EXPIRED])
def test_a_deferred_target_waits_whatever_the_others_came_to(other: S) -> None:
    waiting = a_target(S.DEFERRED, expected=2, deferred_until=UNTIL)
    standing = aggregate([a_target(other, expected=2), waiting])
    assert (standing.some_wait, standing.deferred_until) == (True, UNTIL)
    assert not aggregate([waiting]).some_wait, "the other has not ended"
    assert not aggregate([a_target(other)]).some_wait


@pytest.mark.parametrize(
    ("current", "computed", "after"),
    [
        (Status.ACCEPTED, Status.QUEUED, Status.QUEUED),
        (Status.SCHEDULED, Status.SENT, Status.SENT),
        (Status.QUEUED, Status.SENDING, Status.SENDING),
        (Status.SENDING, Status.RETRYING, Status.RETRYING),
        (Status.RETRYING, Status.SENDING, Status.SENDING),
        (Status.SENDING, Status.QUEUED, Status.SENDING),
        (Status.SENT, Status.SENDING, Status.SENT),
        (Status.SENT, Status.QUEUED, Status.SENT),
        (Status.UNKNOWN, Status.SENT, Status.SENT),
        (Status.SENT, Status.UNKNOWN, Status.SENT),
        (Status.SENT, Status.FAILED, Status.SENT),
        (Status.FAILED, Status.SENT, Status.SENT),
        (Status.QUEUED, Status.DEFERRED, Status.DEFERRED),
        (Status.RETRYING, Status.DEFERRED, Status.DEFERRED),
        (Status.DELIVERED, Status.SENT, Status.DELIVERED),
        (Status.BOUNCED, Status.SENT, Status.BOUNCED),
        (Status.CANCELLED, Status.SENT, Status.CANCELLED),
        (Status.DISCARDED, Status.FAILED, Status.DISCARDED),
    ],
)
def test_a_status_only_moves_forward(current: Status, computed: Status, after: Status) -> None:
    assert advance(current, computed) is after


def test_every_state_has_a_rank_and_ends_rank_above_beginnings() -> None:
    assert set(RANKS) == set(DeliveryState)
    beginnings = max(rank for state, rank in RANKS.items() if state not in TERMINAL_STATES)
    assert all(RANKS[state] > beginnings for state in TERMINAL_STATES)


reports = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(list(DeliveryState))), min_size=1, max_size=8)


@given(reports, st.randoms())
def test_reports_in_any_order_and_twice_come_to_the_same(
    history: list[tuple[int, DeliveryState]], random: object
) -> None:
    def last_of(sequence: list[tuple[int, DeliveryState]]) -> tuple[int, int]:
        known = sequence[0]
        for report in sequence[1:]:
            if is_newer(report, known):
                known = report
        return known[0], RANKS[known[1]]

    shuffled = [*history, *history]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert last_of(shuffled) == last_of(history)


@given(st.sampled_from(list(Status)), st.lists(st.sampled_from(list(Status)), max_size=6))
def test_an_end_is_never_followed_by_waiting_within_a_run(current: Status, computed: list[Status]) -> None:
    waiting = {Status.SCHEDULED, Status.ACCEPTED, Status.QUEUED, Status.SENDING, Status.RETRYING}
    for status in computed:
        after = advance(current, status)
        assert not (current not in waiting | {Status.DEFERRED} and after in waiting)
        current = after


@pytest.mark.parametrize(
    ("ended", "earlier", "status"),
    [
        (DeliveryState.SUPPRESSED, {DeliveryState.SENT}, Status.SENT),
        (DeliveryState.FAILED, {DeliveryState.SENT, DeliveryState.UNKNOWN}, Status.SENT),
        (DeliveryState.EXPIRED, {DeliveryState.UNKNOWN}, Status.UNKNOWN),
        (DeliveryState.FAILED, {DeliveryState.DEFERRED}, Status.FAILED),
        (DeliveryState.DEFERRED, {DeliveryState.SENT}, Status.DEFERRED),
        (DeliveryState.SENT, {DeliveryState.UNKNOWN}, Status.SENT),
    ],
)
def test_what_an_earlier_run_may_have_sent_is_not_denied_by_a_later_one(
    ended: DeliveryState, earlier: set[DeliveryState], status: Status
) -> None:
    assert in_view_of(aggregate([TargetState(state=ended, expected=1)]), earlier).status is status
