"""Keys, fingerprints and what a request may hold."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from gateway_service.domain.acceptance import lane_of, reachable
from gateway_service.domain.idempotency import claim_for, claim_for_batch, read_key
from gateway_service.domain.refusals import Invalid
from gateway_service.storage.partitions import created_at, first_id, months_from, partition_statements
from shared.contracts.channels import CONTENT_FORMATS, Channel, Lane
from shared.contracts.http.auth import NewApiKey
from shared.contracts.http.notification_answers import NotificationQuery
from shared.contracts.http.notifications import DirectAddress, NotificationRequest
from shared.contracts.http.users import Preferences
from shared.contracts.recipients import DeviceTarget
from shared.process.identifiers import uuid7
from tests.builders import a_recipient


def a_request(**changes: object) -> NotificationRequest:
    return NotificationRequest.model_validate(
        {
            "user_id": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d",
            "notification_type": "email",
            "template_code": "order_shipped",
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("header", "field", "key"),
    [
        (None, None, None),
        (None, "k", "k"),
        ("k", None, "k"),
        ('"k"', None, "k"),
        (' "k" ', "k", "k"),
        ("x" * 255, None, "x" * 255),
    ],
)
def test_a_key_is_read_quoted_or_bare(header: str | None, field: str | None, key: str | None) -> None:
    assert read_key(header, field=field) == key


@pytest.mark.parametrize(
    ("header", "field"),
    [
        *((header, None) for header in ("", '""', "a b", "ä", "x" * 256)),
        *((header, None) for header in ('"', '"unterminated', 'unopened"', '"a"b"', '""k""')),
        ("a", "b"),
    ],
)
def test_what_is_no_key_is_refused(header: str, field: str | None) -> None:
    with pytest.raises(Invalid):
        read_key(header, field=field)


def test_the_same_wishes_have_one_fingerprint_however_they_are_spelt() -> None:
    plain = claim_for("k", a_request(variables={"a": 1, "b": 2}))
    spelt_out = claim_for("k", a_request(variables={"b": 2, "a": 1}, priority=5, metadata={}))
    keyed = claim_for("k", a_request(variables={"a": 1, "b": 2}, idempotency_key="k"))
    assert plain == spelt_out == keyed


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": 6},
        {"variables": {"a": 1}},
        {"metadata": {"a": "1"}},
        {"language": "fr"},
        {"user_id": uuid4()},
    ],
)
def test_other_wishes_have_another_fingerprint(changes: dict[str, object]) -> None:
    assert claim_for("k", a_request()) != claim_for("k", a_request(**changes))


def test_a_batch_is_never_the_same_as_a_single_one() -> None:
    request = {"user_id": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d"}
    assert claim_for_batch("k", [request]) != claim_for("k", a_request())
    assert claim_for_batch("k", ["\ud800"]) is not None
    assert claim_for_batch(None, []) is None


@pytest.mark.parametrize(
    ("changes", "in_batch", "lane"),
    [
        ({}, False, Lane.NORMAL),
        ({}, True, Lane.BULK),
        ({"category": "promotional"}, False, Lane.BULK),
        ({"priority": 7}, False, Lane.NORMAL),
        ({"priority": 8}, False, Lane.URGENT),
        ({"priority": 8}, True, Lane.URGENT),
        ({"category": "security", "priority": 10}, False, Lane.URGENT),
    ],
)
def test_lanes(changes: dict[str, object], in_batch: bool, lane: Lane) -> None:
    assert lane_of(a_request(**changes), in_batch=in_batch) is lane


def test_every_channel_says_where_its_addresses_are() -> None:
    assert set(DirectAddress.model_fields) == {channel.value for channel in Channel}
    assert all(
        format_.recipient_field in type(a_recipient()).__struct_fields__
        for format_ in CONTENT_FORMATS.values()
    )
    nobody = a_recipient(email=None)
    assert not any(reachable(nobody, channel) for channel in Channel)
    device = DeviceTarget(id=uuid4(), platform="android", token="t")
    assert reachable(a_recipient(email=None, devices=(device,)), Channel.PUSH)


def test_times_are_kept_in_utc() -> None:
    assert a_request(scheduled_at="2027-01-01T10:00:00+02:00").scheduled_at == datetime(
        2027, 1, 1, 8, tzinfo=UTC
    )


@pytest.mark.parametrize("depth", [31, 33, 2000])
def test_nesting_has_an_end(depth: int) -> None:
    value: object = 1
    for _ in range(depth - 1):
        value = [value]
    if depth <= 31:
        assert a_request(variables={"deep": value}).variables == {"deep": value}
    else:
        with pytest.raises(ValidationError):
            a_request(variables={"deep": value})


@pytest.mark.parametrize("field", ["variables", "metadata"])
def test_numbers_must_be_finite_and_fit(field: str) -> None:
    for number in (float("inf"), float("nan"), 2**63, -(2**63) - 1, 1e19, 1e25, -1e300):
        with pytest.raises(ValidationError):
            a_request(**{field: {"n": number}})
    assert getattr(a_request(**{field: {"n": 9.2e18}}), field) == {"n": 9.2e18}


def test_many_faults_are_one_error() -> None:
    """Each costs time in which nobody else is answered."""
    faulty: list[dict[str, object]] = [
        {"metadata": {f"k{number}": [] for number in range(1_000)}},
        {"metadata": {f"k{number}": [] for number in range(50)}},
        {f"k{number}": 1 for number in range(1_000)},
        {"variables": {"many": [0] * 100_000}},
    ]
    for changes in faulty:
        with pytest.raises(ValidationError) as caught:
            a_request(**changes)
        assert caught.value.error_count() == 1
    with pytest.raises(ValidationError) as caught:
        Preferences.model_validate({"categories": {"c": {f"x{number}": 1 for number in range(1_000)}}})
    assert caught.value.error_count() == 1
    with pytest.raises(ValidationError) as caught:
        NewApiKey.model_validate({"name": "a", "scopes": ["x"] * 1_000})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    "metadata",
    [{"": 1}, {"k" * 65: 1}, {"k": "x" * 501}, {"k": {}}, {str(n): n for n in range(51)}, [], "text"],
)
def test_metadata_is_small_and_flat(metadata: object) -> None:
    with pytest.raises(ValidationError):
        a_request(metadata=metadata)


def test_metadata_is_kept_as_it_is() -> None:
    metadata = {"k" * 64: "x" * 500, "whole": 1, "float": 1.0, "true": True, "null": None, "text": "1"}
    kept = a_request(metadata=metadata).metadata
    assert {name: (type(value), value) for name, value in kept.items()} == {
        name: (type(value), value) for name, value in metadata.items()
    }


@pytest.mark.parametrize(
    "time",
    [
        "1900000000",
        1900000000,
        "2030-12-01 08:00:00Z",
        "2030-12-01T08:00Z",
        "2030-12-01",
        "2030-12-01T08:00:00",
        "2030-12-01T08:00:00+0200",
        "2030-12-01T08:00:00Z\n",
    ],
)
def test_times_are_rfc_3339(time: object) -> None:
    with pytest.raises(ValidationError):
        a_request(expires_at=time)
    with pytest.raises(ValidationError):
        NotificationQuery.model_validate({"created_after": time})
    assert a_request(expires_at="2030-12-01t08:00:00.123z").expires_at is not None


def test_numbers_in_variables_may_be_nested() -> None:
    portable = {"n": 2**63 - 1, "m": [1.5, True, None]}
    assert a_request(variables=portable).variables == portable


def test_an_expiry_before_the_schedule_is_refused() -> None:
    with pytest.raises(ValidationError):
        a_request(scheduled_at="2027-01-02T00:00:00Z", expires_at="2027-01-01T00:00:00Z")


def test_an_id_tells_its_time() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    assert before <= created_at(uuid7()) <= datetime.now(UTC) + timedelta(milliseconds=50)
    at = datetime(2026, 12, 1, tzinfo=UTC)
    assert created_at(first_id(at)) == at
    assert first_id(at) < UUID(int=first_id(at).int + 1) < first_id(at + timedelta(milliseconds=1))


def test_months_run_over_the_end_of_the_year() -> None:
    months = list(months_from(datetime(2026, 11, 21, tzinfo=UTC), months=3))
    assert [(start.year, start.month) for start, _ in months] == [
        (2026, 11),
        (2026, 12),
        (2027, 1),
        (2027, 2),
    ]
    assert all(end == after for (_, end), (after, _) in itertools.pairwise(months))
    assert sum(1 for _ in partition_statements(datetime(2026, 11, 21, tzinfo=UTC), months=3)) == 8
