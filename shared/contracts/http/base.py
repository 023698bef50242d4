"""What every public HTTP body has in common: strictness, the problem body, lists, shared value types."""

import base64
import binascii
import re
import zoneinfo
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import UUID

import email_validator
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.contracts.http.one_line import one_line

# An installation of one's own mails to its own network and to test machines: these reserved names
# are real there. `invalid`, `onion` and `arpa` stay refused.
for _name in ("local", "localhost", "test"):
    if _name in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_name)

_LANGUAGE = re.compile(
    r"(?P<language>[A-Za-z]{2,3})"
    r"(?:-(?P<script>[A-Za-z]{4}))?"
    r"(?:-(?P<region>[A-Za-z]{2}|[0-9]{3}))?"
    r"(?P<rest>(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*)"
)


def storable(value: object) -> object:
    """Refuse NUL and lone surrogates in every string of `value`: PostgreSQL can hold neither.

    Walks without recursion, so that depth costs nothing. Raises a pydantic error.
    """
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise PydanticCustomError("string_nul", "The character NUL (U+0000) is not allowed")
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                raise PydanticCustomError("string_surrogate", "A lone surrogate is not a character")
        elif isinstance(item, dict):
            open_values.extend(item.keys())
            open_values.extend(item.values())
        elif isinstance(item, list | tuple):
            open_values.extend(item)
    return value


MOST_UNKNOWN_FIELDS = 20
"""Fields that are named one by one when they are refused."""


class StrictModel(BaseModel):
    """A public body: unknown fields are refused, instances never change, and no string holds a NUL."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_heaps(cls, value: object) -> object:
        # Pydantic writes an error for each unknown field: some are a help, 100,000 are seconds of work.
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MOST_UNKNOWN_FIELDS:
            raise PydanticCustomError("too_many_fields", "There are far more fields than this takes")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_what_cannot_be_stored(cls, value: object) -> object:
        return storable(value)


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        field.pop("default", None)


class ChangeModel(StrictModel):
    """The body of a PATCH: what is not given stays as it is, so the defaults in code mean nothing
    (read `model_fields_set`) and are not published."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class FieldProblem(StrictModel):
    """One thing that is wrong with a request; `field` is a dotted path such as `devices.0.token`."""

    field: str = Field(examples=["email"])
    message: str = Field(examples=["value is not a valid email address"])


class ProblemBody(BaseModel):
    """An error as RFC 9457 `application/problem+json`."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(
        description="Names the kind of error; stable.", examples=["urn:carillon:problem:not_found"]
    )
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str | None = Field(default=None, description="What went wrong here, for people.")
    instance: str | None = Field(default=None, description="The path that was asked for.")
    correlation_id: str | None = Field(default=None, description="Finds this request in the logs.")
    errors: tuple[FieldProblem, ...] = Field(
        default=(), description="On a validation error, each field that is wrong."
    )


def bounded(*sizes: int) -> BeforeValidator:
    """At most so many members on each level of an object or array, looked at before the members are:
    pydantic would check all and write an error for each."""

    def check(value: object) -> object:
        level = [value]
        for size in sizes:
            containers = [item for item in level if isinstance(item, dict | list)]
            if any(len(item) > size for item in containers):
                raise PydanticCustomError("too_many", "There is far more in it than this takes")
            level = [
                child for item in containers for child in (item.values() if isinstance(item, dict) else item)
            ]
        return value

    return BeforeValidator(check)


class _Listed(Protocol):
    @property
    def id(self) -> UUID: ...


ItemT = TypeVar("ItemT")
PageT = TypeVar("PageT", bound=BaseModel)


class Page(StrictModel, Generic[ItemT]):
    """A part of a list, newest first; `next_cursor` is null on the last page."""

    items: tuple[ItemT, ...]
    next_cursor: str | None


def page_of(page: type[PageT], found: Sequence[_Listed], *, limit: int) -> PageT:
    """A `Page[…]`, where one more than `limit` was asked for, to see whether there is a next one."""
    items = tuple(found[:limit])
    last = encode_cursor(items[-1].id) if len(found) > limit else None
    return page(items=items, next_cursor=last)


class PageQuery(StrictModel):
    """Which part of a list: `cursor` is the `next_cursor` of the page before."""

    limit: int = Field(default=50, ge=1, le=200, description="At most so many items.")
    cursor: str | None = Field(default=None, max_length=64, description="`next_cursor` of the page before.")

    @field_validator("cursor")
    @classmethod
    def _refuse_foreign_cursor(cls, cursor: str | None) -> str | None:
        if cursor is not None:
            decode_cursor(cursor)
        return cursor

    @property
    def before(self) -> UUID | None:
        """The id below which the page starts: ids are UUIDv7 and so in order of creation."""
        return None if self.cursor is None else decode_cursor(self.cursor)


def encode_cursor(last: UUID) -> str:
    """The cursor of the page after the one that ends with `last`."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> UUID:
    """The id in a cursor. Raises ValueError where this is none."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("this is not a cursor that a list has answered") from error


def _email(value: str) -> str:
    try:
        address = email_validator.validate_email(
            value, check_deliverability=False, globally_deliverable=False, test_environment=True, strict=True
        )
    except email_validator.EmailNotValidError as error:
        raise PydanticCustomError("email", "This is not a valid email address") from error
    if "." not in address.domain and address.domain != "localhost":
        raise PydanticCustomError("email", "The domain of an email address needs a dot")
    return address.normalized


def _language(value: str) -> str:
    match = _LANGUAGE.fullmatch(value)
    if match is None:
        raise PydanticCustomError("language_tag", "This is not a BCP-47 language tag such as fr or fr-CA")
    script, region = match["script"], match["region"]
    return "".join(
        (
            match["language"].lower(),
            f"-{script.title()}" if script else "",
            f"-{region.upper()}" if region else "",
            match["rest"].lower(),
        )
    )


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _time_zone(value: str) -> str:
    if value not in _time_zones():
        raise PydanticCustomError("time_zone", "This is not an IANA time zone such as Europe/Paris")
    return value


EmailAddress = Annotated[
    str,
    Field(max_length=254, json_schema_extra={"format": "email"}, examples=["ann@example.com"]),
    AfterValidator(_email),
]
"""A mail address (RFC 5321, SMTPUTF8 included), its domain in lower case; nothing is looked up."""

PhoneNumber = Annotated[
    str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$"), Field(examples=["+33612345678"])
]
"""E.164."""

LanguageTag = Annotated[str, Field(max_length=35, examples=["fr-CA"]), AfterValidator(_language)]
"""BCP-47, in its usual spelling: `fr-ca` becomes `fr-CA`."""

TimeZone = Annotated[str, Field(max_length=64, examples=["Europe/Paris"]), AfterValidator(_time_zone)]
"""IANA name."""

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)
]
"""A name for people to read."""
