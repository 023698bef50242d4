"""The filters and tests a template may use: Jinja2's own, each paid for, and bounded where they can grow.

Left out on purpose: `attr`, `pprint`, `random` (a retry would say something else), `urlize`, `wordwrap`,
`xmlattr`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import filters as stock
from jinja2 import tests as stock_tests
from jinja2.runtime import Context
from jinja2.utils import pass_context

from shared.delivery.templating.bounded import BOUNDED_FILTERS
from shared.delivery.templating.meter import Meter, TooExpensive
from shared.delivery.templating.values import collected, meter_of, pay_for_paths, refuse_missing

Function = Callable[..., Any]

# fmt: off
_ANY_SIZE = ("count", "d", "default", "first", "float", "int", "last", "length")
"""Take as long for a large value as for a small one."""

_IN_PROPORTION = (
    "abs", "capitalize", "dictsort", "e", "escape", "filesizeformat", "forceescape", "groupby", "items",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "safe", "select", "selectattr",
    "sort", "string", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
)
"""Take as long as their input is large, and make something of about that size."""

_OF_TEXT = frozenset({
    "capitalize", "e", "escape", "forceescape", "lower", "string", "title", "trim", "truncate", "upper",
    "urlencode", "wordcount",
})
"""Take None, which prints as nothing, as an empty text."""

_LONGEST_NUMBER = 100
_TESTS_OF_MISSING = frozenset({"defined", "undefined"})
_TESTS = (
    "!=", "<", "<=", "==", ">", ">=", "boolean", "defined", "divisibleby", "eq", "equalto", "escaped",
    "even", "false", "float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan",
    "lower", "lt", "mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "true",
    "undefined", "upper",
)
# fmt: on


def _stock(function: Function) -> Callable[[Context, tuple[Any, ...], dict[str, Any]], Any]:
    """How to call one of Jinja2's own, some of which want the context, its escaping or the environment."""
    wants = getattr(getattr(function, "jinja_pass_arg", None), "name", None)
    if wants == "context":
        return lambda context, args, kwargs: function(context, *args, **kwargs)
    if wants == "eval_context":
        return lambda context, args, kwargs: function(context.eval_ctx, *args, **kwargs)
    if wants == "environment":
        return lambda context, args, kwargs: function(context.environment, *args, **kwargs)
    return lambda _context, args, kwargs: function(*args, **kwargs)


def _pay_for_arguments(meter: Meter, args: Iterable[object], kwargs: Mapping[str, object]) -> None:
    for argument in (*args, *kwargs.values()):
        meter.spend_value(argument)


def _metered(name: str, function: Function) -> Function:
    call = _stock(function)

    @pass_context
    def metered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_missing(value)
        if value is None and name in _OF_TEXT:
            value = ""
        meter = meter_of(context)
        meter.spend_value(value)
        _pay_for_arguments(meter, args, kwargs)
        pay_for_paths(meter, value, args, kwargs)
        return collected(call(context, (value, *args), kwargs), meter)

    metered.__name__ = name
    return metered


def _cheap(name: str, function: Function) -> Function:
    call = _stock(function)

    @pass_context
    def cheap(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if name not in ("d", "default"):
            refuse_missing(value)
        meter = meter_of(context)
        meter.spend(1)
        if isinstance(value, str):
            meter.spend_text(len(value))
            if name in ("int", "float") and len(value) > _LONGEST_NUMBER:
                raise TooExpensive("a text is too long to be a number")
        return call(context, (value, *args), kwargs)

    cheap.__name__ = name
    return cheap


def _metered_test(name: str, function: Function) -> Function:
    call = _stock(function)

    @pass_context
    def metered_test(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if name not in _TESTS_OF_MISSING:
            refuse_missing(value)
            meter = meter_of(context)
            meter.spend_value(value)
            _pay_for_arguments(meter, args, kwargs)
        return call(context, (value, *args), kwargs)

    metered_test.__name__ = name
    return metered_test


PUBLIC_FILTERS = frozenset([*_ANY_SIZE, *_IN_PROPORTION, *BOUNDED_FILTERS])
PUBLIC_TESTS = frozenset(_TESTS)
FILTERS: dict[str, Function] = {
    **{name: _cheap(name, stock.FILTERS[name]) for name in _ANY_SIZE},
    **{name: _metered(name, stock.FILTERS[name]) for name in _IN_PROPORTION},
    **BOUNDED_FILTERS,
}
_STOCK_TESTS: Mapping[str, Function] = stock_tests.TESTS  # type: ignore[assignment]  # mixed kinds of callables
TESTS: dict[str, Function] = {name: _metered_test(name, _STOCK_TESTS[name]) for name in _TESTS}
