"""The options that several commands share, and how a person writes times, addresses and variables."""

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
import typer
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from carillon.setup_error import SetupError
from shared.contracts.channels import Channel
from shared.contracts.http.failures import FailureFilter, FailureStatus
from shared.contracts.http.notifications import Timestamp
from shared.contracts.http.reprocessing import FailureChanges, JobFilter

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")
_TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(Timestamp)
_RFC_3339 = "RFC 3339, or how long ago: 30m, 2h, 1d"
_OPTION_NAMES = {
    "notification_type": "--type",
    "template_code": "--template",
    "notification_id": "--notification",
    "job_id": "--job",
}
_NONE_NAMED = (
    "Name a failure, or say which ones: --cause, --type, --provider and so on; everything until now is "
    "--until now."
)
CHANGED = "--to and --variables change one failure: name it."
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which failures are meant: those to which all of these apply."""

    type: Annotated[Channel | None, typer.Option(help="Of this channel.")] = None
    provider: Annotated[str | None, typer.Option(help="Of this provider, such as smtp.")] = None
    error_type: Annotated[str | None, typer.Option(help="With this kind of error.")] = None
    template: Annotated[str | None, typer.Option(metavar="CODE", help="By this template.")] = None
    cause: Annotated[str | None, typer.Option(help="With this cause, as `summary` names it.")] = None
    notification: Annotated[UUID | None, typer.Option(metavar="ID", help="Of this notification.")] = None
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Failed then or later: {_RFC_3339}.")] = (
        None
    )
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"Failed before: {_RFC_3339}, now.")] = (
        None
    )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was chosen."""
        return not self.names_others_than()

    def names_others_than(self, *names: str) -> bool:
        """Whether anything besides these was chosen."""
        given = {field.name for field in fields(self) if getattr(self, field.name) is not None}
        return not given <= set(names)

    def filter(self, now: datetime) -> FailureFilter:
        """As the API takes it. Raises SetupError for what it would refuse."""
        return checked(
            FailureFilter,
            notification_type=self.type,
            provider=self.provider,
            error_type=self.error_type,
            template_code=self.template,
            cause=self.cause,
            notification_id=self.notification,
            since=None if self.since is None else moment("--since", self.since, now=now),
            until=None if self.until is None else moment("--until", self.until, now=now),
        )


@dataclass(frozen=True, kw_only=True)
class Listed(Which):
    """Which of a list."""

    status: Annotated[FailureStatus, typer.Option(help="Where they stand.")] = FailureStatus.OPEN
    job: Annotated[UUID | None, typer.Option(metavar="ID", help="Sent again by this job.")] = None

    def query(self, now: datetime) -> dict[str, str]:
        """For GET /failed. Raises SetupError."""
        job = {} if self.job is None else {"job_id": str(self.job)}
        return as_query(self.filter(now)) | {"status": self.status.value} | job


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where, and in which form."""

    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The gateway; default CARILLON_URL, else the installation that runs here."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Shown(Where):
    """For commands that show something."""

    json: Annotated[bool, typer.Option("--json", help="For machines: the API's own JSON.")] = False


def moment(option: str, text: str, *, now: datetime) -> datetime:
    """`now`, how long ago, or RFC 3339 with an offset. Raises SetupError."""
    if text == "now":
        return now
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])})
        return _TIMESTAMP.validate_python(text)
    except (ValueError, OverflowError) as error:
        raise SetupError(
            f"{option} is a time in RFC 3339 such as 2030-01-31T08:00:00Z, or how long ago, such as 2h."
        ) from error


def wanted(which: Which, *, now: datetime) -> JobFilter:
    """For what is done to many. Raises SetupError where nothing was chosen."""
    if which.is_empty:
        raise SetupError(_NONE_NAMED)
    return JobFilter(**which.filter(now).model_dump())


def changes(*, to: str | None, template: str | None, variables: str | None) -> FailureChanges | None:
    """What is to be another; None where nothing is. Raises SetupError."""
    if to is None and template is None and variables is None:
        return None
    return checked(
        FailureChanges,
        to=None if to is None else _address(to),
        template_code=template,
        variables=None if variables is None else _variables(variables),
    )


def _address(text: str) -> dict[str, str]:
    channel, equals, address = text.partition("=")
    if not (equals and channel and address):
        raise SetupError("--to names channel and address, such as --to email=ann@example.com.")
    return {channel: address}


def _variables(text: str) -> JsonValue:
    """JSON, or @ and the file that holds it: what stands in a command line others can see."""
    try:
        found: JsonValue = msgspec.json.decode(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise SetupError(f"The file of --variables cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise SetupError("--variables is to be a JSON object, or @ and a file with one.") from error
    if not isinstance(found, dict):
        raise SetupError("--variables is to be a JSON object, or @ and a file with one.")
    return found


def as_query(filter_: FailureFilter) -> dict[str, str]:
    """For an address: times in UTC with a Z."""
    return {name: str(value) for name, value in as_body(filter_).items()}


def as_body(model: BaseModel) -> dict[str, JsonValue]:
    """JSON without what was not given."""
    return model.model_dump(mode="json", exclude_none=True)


def checked(model: type[ModelT], **values: object) -> ModelT:
    """Of values that a person gave. Raises SetupError in words about options."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = str(wrong["loc"][0]) if wrong["loc"] else ""
        option = _OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")
        inside = "".join(f" {part}:" for part in wrong["loc"][1:])
        raise SetupError(f"{option}:{inside} {wrong['msg'].removesuffix('.')}.") from error


def utc_now() -> datetime:
    """By the clock here; what is to be exact is taken from the server's answers."""
    return datetime.now(UTC)
