"""The public bodies refuse what they do not know, and take what they promise."""

import pytest
from pydantic import ValidationError

from shared.contracts.http.auth import NewApiKey, Registration
from shared.contracts.http.base import PageQuery, ProblemBody, StrictModel, decode_cursor, encode_cursor
from shared.contracts.http.notifications import InlineContent
from shared.contracts.http.users import NewDevice, NewUser, Preferences, UserChange
from shared.process.identifiers import uuid7
from tests.builders import a_registration

DEEP = 50_000


class Anything(StrictModel):
    """A body with an open corner, as `variables` is one."""

    value: object = None


def test_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ValidationError) as refused:
        Registration.model_validate(a_registration(emial="ann@example.com"))
    assert [error["loc"] for error in refused.value.errors()] == [("emial",)]


@pytest.mark.parametrize("value", ["a\x00b", {"k": ["\x00"]}, {"\x00": 1}, "\ud800", [{"a": "x\udfff"}]])
def test_what_postgresql_cannot_hold_is_refused_at_any_depth(value: object) -> None:
    with pytest.raises(ValidationError):
        Anything(value=value)


def test_depth_costs_no_stack() -> None:
    nested: list[object] = []
    for _ in range(DEEP):
        nested = [nested]
    assert Anything(value=nested).value is nested


@pytest.mark.parametrize("value", ["é", "日本", "👩‍👩‍👧", "\u0001", ""])
def test_other_characters_are_taken(value: str) -> None:
    assert Anything(value=value).value == value


@pytest.mark.parametrize(
    "email",
    ["ann@example.com", "ann@EXAMPLE.com", "o'neil+x@mail.example.org", "ü@müller.example", "a@mail.local"],
)
def test_email_is_taken(email: str) -> None:
    assert NewUser(name="Ann", email=email).email == email.replace("EXAMPLE", "example")


@pytest.mark.parametrize(
    "email",
    ["", "ann", "ann@", "@example.com", "a b@example.com", "ann@example", "ann@example.com\n", "a@[1.2.3.4]",
     "ann@example.com\r\nBcc: x@example.com", "Ann <ann@example.com>", f"{'a' * 65}@example.com"],
)  # fmt: skip
def test_what_is_no_email_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        NewUser(name="Ann", email=email)


@pytest.mark.parametrize(
    ("given", "kept"), [("fr", "fr"), ("FR-ca", "fr-CA"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419")]
)
def test_language_is_kept_in_its_usual_spelling(given: str, kept: str) -> None:
    assert NewUser(name="Ann", language=given).language == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"language": "french"},
        {"language": "fr_CA"},
        {"phone": "0612345678"},
        {"phone": "+0612345678"},
        {"timezone": "Mars/Olympus"},
        {"timezone": None},
        {"name": "  "},
        {"name": "a" * 201},
        {"external_id": ""},
        {"slack_id": "nope!"},
        {"password": "short"},
        {"password": "long enough, but nobody to log in"},
    ],
)
def test_wrong_field_of_a_user_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewUser.model_validate({"name": "Ann", **wrong})


def test_change_knows_what_was_given() -> None:
    assert UserChange.model_validate({"email": None}).model_fields_set == {"email"}


def test_name_and_time_zone_cannot_be_cleared() -> None:
    for field in ("name", "timezone"):
        with pytest.raises(ValidationError):
            UserChange.model_validate({field: None})


def test_published_change_has_no_defaults() -> None:
    published = UserChange.model_json_schema()["properties"]
    assert not [name for name, field in published.items() if "default" in field]


@pytest.mark.parametrize(
    "wrong",
    [
        {"email_enabled": "yes"},
        {"email_enabled": 1},
        {"quiet_hours": {"start": "22:00", "end": "22:00"}},
        {"quiet_hours": {"start": "24:00", "end": "07:00"}},
        {"quiet_hours": {"start": "22:00"}},
        {"categories": {"Promotional!": {"email": False}}},
        {"categories": {"promotional": {"pigeon": False}}},
        {"categories": {f"c{number}": {} for number in range(101)}},
    ],
)
def test_wrong_preferences_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preferences.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"platform": "android"},
        {"platform": "windows", "token": "t"},
        {"platform": "android", "token": ""},
        {"platform": "android", "token": "with space"},
        {"platform": "android", "token": "t" * 4097},
        {"platform": "android", "subscription": {"endpoint": "https://push.example/1", "keys": {}}},
    ],
)
def test_wrong_device_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewDevice.model_validate(wrong)


A_POINT = "B" + "A" * 86
SUBSCRIPTION: dict[str, object] = {
    "endpoint": "https://push.example.com/wpush/v2/gAAAAA",
    "expirationTime": None,
    "keys": {"p256dh": A_POINT, "auth": "a" * 22},
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"expirationTime": 2**63 - 1},
        {"endpoint": "https://push.example.com:8443/1?a=b"},
        {"keys": {"p256dh": f"{A_POINT}=", "auth": f"{'a' * 22}=="}},
    ],
)
def test_subscription_of_a_browser_is_taken_as_it_came(change: dict[str, object]) -> None:
    given = {**SUBSCRIPTION, **change}
    device = NewDevice.model_validate({"platform": "web", "subscription": given})
    assert device.subscription is not None
    assert device.subscription.model_dump(mode="json") == given


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "http://push.example.com/a"},
        {"endpoint": "https://127.0.0.1/a"},
        {"endpoint": "https://0x7f.1/a"},
        {"endpoint": "https://2130706433/a"},
        {"endpoint": "https://[::1]/a"},
        {"endpoint": "https://[::ffff:10.0.0.1]/a"},
        {"endpoint": "https://localhost/a"},
        {"endpoint": "https://LOCALHOST./a"},
        {"endpoint": "https://a.localhost/a"},
        {"endpoint": "https://metadata.google.internal/a"},
        {"endpoint": "https://redis/a"},
        {"endpoint": "https://me:pw@push.example.com/a"},
        {"endpoint": f"https://push.example.com/{'a' * 2048}"},
        {"keys": {"p256dh": "é" * 87, "auth": "a" * 22}},
        {"keys": {"p256dh": "A" * 87, "auth": "a" * 22}},
        {"keys": {"p256dh": A_POINT[:-1], "auth": "a" * 22}},
        {"keys": {"p256dh": f"{A_POINT}\n", "auth": "a" * 22}},
        {"keys": {"p256dh": A_POINT, "auth": "a" * 21}},
        {"keys": {"p256dh": A_POINT, "auth": "+" * 22}},
        {"expirationTime": 10**25},
        {"expirationTime": 2**63},
        {"expirationTime": -1},
    ],
)
def test_subscription_that_no_browser_gives_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewDevice.model_validate({"platform": "web", "subscription": {**SUBSCRIPTION, **wrong}})


@pytest.mark.parametrize("name", ["Zoë", "山田 太郎", "O\u2019Neil", "👩\u200d👩\u200d👧", " Ann\n"])
def test_names_of_people_are_taken(name: str) -> None:
    assert NewUser(name=name).name == name.strip()


@pytest.mark.parametrize(
    "line",
    [
        "a\rb",
        "a\nb",
        "a\x1b[2Jb",
        "a\tb",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "\u200b",
        "\u200b \ufeff",
    ],
)
def test_names_and_subjects_are_one_line_that_can_be_seen(line: str) -> None:
    with pytest.raises(ValidationError):
        NewUser(name=line)
    with pytest.raises(ValidationError):
        UserChange(name=line)
    with pytest.raises(ValidationError):
        NewApiKey.model_validate({"name": line, "scopes": ["users:read"]})
    with pytest.raises(ValidationError):
        InlineContent(subject=line, body="x")


@pytest.mark.parametrize("scopes", [[], ["notifications:sned"]])
def test_api_key_needs_scopes_that_exist(scopes: list[str]) -> None:
    with pytest.raises(ValidationError):
        NewApiKey.model_validate({"name": "orders", "scopes": scopes})


def test_cursor_comes_back_as_the_id_it_was_made_of() -> None:
    last = uuid7()
    assert decode_cursor(encode_cursor(last)) == last
    assert PageQuery(cursor=encode_cursor(last)).before == last


@pytest.mark.parametrize("cursor", ["", "x", "not a cursor", "====", "a" * 64, "é"])
def test_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValidationError):
        PageQuery(cursor=cursor)


@pytest.mark.parametrize("limit", [0, 201, -1])
def test_limit_is_bounded(limit: int) -> None:
    with pytest.raises(ValidationError):
        PageQuery(limit=limit)


def test_problem_body_lists_what_is_wrong() -> None:
    problem = ProblemBody.model_validate(
        {"type": "urn:x", "title": "t", "status": 422, "errors": [{"field": "a", "message": "b"}]}
    )
    assert problem.errors[0].field == "a"
