"""What forms and addresses bring, as the objects that the API takes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

ModelT = TypeVar("ModelT", bound=BaseModel)
_LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
MOST_FIELDS = 60
_TIME = "Give a date and a time of day, in UTC."
_TIME_ERRORS = ("timestamp", "datetime", "timezone")


@dataclass(frozen=True, kw_only=True)
class Filled(Generic[ModelT]):
    """What was filled in: `value` where it fits, else `errors` by field; the field "" is all of it."""

    given: Mapping[str, str]
    value: ModelT | None
    errors: Mapping[str, str]


def from_address(request: Request, model: type[ModelT], **fixed: object) -> Filled[ModelT]:
    """By the query of the address: what the model does not know is left out, what is blank was not given."""
    return filled(model, dict(request.query_params), **fixed)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of the body's form, each once, without blanks around them."""
    form = await request.form()
    items = list(form.items())[:MOST_FIELDS]
    return {name: value.strip() for name, value in items if isinstance(value, str)}


def filled(model: type[ModelT], given: Mapping[str, str], **fixed: object) -> Filled[ModelT]:
    """As text, checked; `fixed` is not up to whoever fills it in."""
    known = {
        name: _with_zone(value.strip())
        for name, value in given.items()
        if name in model.model_fields and name not in fixed and value.strip()
    }
    try:
        value = model.model_validate({**known, **fixed})
    except ValidationError as error:
        return Filled(given=given, value=None, errors=errors_of(error))
    return Filled(given=given, value=value, errors={})


def errors_of(error: ValidationError) -> dict[str, str]:
    """The first of each field."""
    found: dict[str, str] = {}
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"])
        text = _TIME if item["type"].startswith(_TIME_ERRORS) else item["msg"].removeprefix("Value error, ")
        found.setdefault(field, text)
    return found


def _with_zone(value: str) -> str:
    """Browsers give a time without a zone; ours are in UTC, and the page says so."""
    match = _LOCAL_TIME.fullmatch(value)
    if match is None:
        return value
    return f"{value}Z" if match[1] else f"{value}:00Z"
