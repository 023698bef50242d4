"""What a template's values are here: paid for, and missing ones that say so."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from jinja2.runtime import Context, StrictUndefined, Undefined

from shared.delivery.templating.meter import Meter, NotText


class Missing(StrictUndefined):
    """A variable that was not given: may be asked whether it is defined, given a default, and nothing else.

    What is asked of it is missing as well, so that `user.address.city | default('')` works.
    """

    __slots__ = ()

    __repr__ = StrictUndefined.__str__

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"variable {self._undefined_name!r} is missing"


class MeteredContext(Context):
    """The variables of one rendering, and its meter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter = Meter()


def meter_of(context: Context) -> Meter:
    """The meter of the rendering that `context` belongs to."""
    if not isinstance(context, MeteredContext):
        raise TypeError("a template of this sandbox runs in its own context")
    return context.meter


def as_text(value: object, meter: Meter) -> str:
    """`value` as it appears in the message: nothing for None. Raises TooExpensive, NotText and
    UndefinedError."""
    if isinstance(value, str):
        meter.spend_text(len(value))
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float | Undefined):
        meter.spend(1)
    elif isinstance(value, dict | list | tuple):
        meter.spend_value(value)
    else:
        raise NotText(f"a {type(value).__name__.lower()} cannot be written as text")
    return str(value)


def refuse_missing(value: object) -> None:
    """Raises UndefinedError, which says what is missing, where `value` stands for nothing."""
    if isinstance(value, Undefined):
        str(value)


def pay_for_paths(meter: Meter, value: Any, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
    """Pay for `items | map(attribute='a.b.c')`: each part of the path is looked up in each item."""
    parts = sum(
        1 + argument.count(".") + argument.count(",")
        for argument in (*args, *kwargs.values())
        if isinstance(argument, str)
    )
    if parts and isinstance(value, Sized):
        meter.spend(parts * len(value))


def collected(result: Any, meter: Meter) -> Any:
    """What a filter made: lazy results as lists, so that nothing comes into being without being paid for.
    Raises TooExpensive."""
    if isinstance(result, Iterator):
        items = []
        for item in result:
            meter.spend(1)
            items.append(item)
        result = items
    meter.spend_value(result)
    return result
