"""Filters that can make much of little, each with a bound: in place of Jinja2's own of the same name."""

from collections.abc import Callable
from typing import Any

from jinja2 import filters as stock
from jinja2.exceptions import FilterArgumentError
from jinja2.runtime import Context
from jinja2.utils import pass_context

from shared.delivery.templating.arithmetic import formatted
from shared.delivery.templating.meter import TooExpensive
from shared.delivery.templating.values import as_text, collected, meter_of, pay_for_paths, refuse_missing

MAX_WIDTH = 1000
"""The widest a value may be padded or indented, in characters."""


def _width(width: object) -> int:
    if not isinstance(width, int) or not 0 <= width <= MAX_WIDTH:
        raise TooExpensive(f"a width is a whole number from 0 to {MAX_WIDTH}")
    return width


@pass_context
def center(context: Context, value: Any, width: int = 80) -> str:
    """`value` in the middle of `width` characters."""
    return as_text(value, meter_of(context)).center(_width(width))


@pass_context
def indent(  # noqa: PLR0917 - called from templates, as Jinja2's own
    context: Context, value: Any, width: int = 4, first: bool = False, blank: bool = False
) -> str:
    """`value` with its lines indented."""
    meter = meter_of(context)
    text = as_text(value, meter)
    meter.spend_text(len(text) + (1 + len(text.splitlines())) * _width(width))
    return stock.do_indent(text, width, first, blank)


@pass_context
def join(context: Context, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    """The items of `value` with `d` between them."""
    refuse_missing(value)
    meter = meter_of(context)
    meter.spend_value(value)
    items = list(value)
    pay_for_paths(meter, items, (attribute,), {})
    if attribute is not None:
        items = list(map(stock.make_attrgetter(context.environment, attribute), items))
    texts = [as_text(item, meter) for item in items]
    separator = as_text(d, meter)
    meter.spend_text(sum(map(len, texts)) + len(texts) * len(separator))
    return stock.sync_do_join(context.eval_ctx, texts, separator)


@pass_context
def replace(  # noqa: PLR0917 - as above
    context: Context, value: Any, old: Any, new: Any, count: int | None = None
) -> str:
    """`value` with `new` in place of `old`."""
    meter = meter_of(context)
    text, before, after = (as_text(part, meter) for part in (value, old, new))
    found = text.count(before) if count is None or count < 0 else min(count, text.count(before))
    meter.spend_text(len(text) * 5 + found * len(after) * 5)  # either may grow by being escaped
    return stock.do_replace(context.eval_ctx, text, before, after, count)


@pass_context
def text_format(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    """`value % args`."""
    if args and kwargs:
        raise FilterArgumentError("format takes either positional or named values")
    meter = meter_of(context)
    return formatted(as_text(value, meter), kwargs or args, meter)


@pass_context
def batch(context: Context, value: Any, linecount: int, fill_with: Any = None) -> list[list[Any]]:
    """Rows of `linecount` items."""
    refuse_missing(value)
    meter = meter_of(context)
    meter.spend_value(value)
    meter.spend(_width(linecount))
    rows = list(stock.do_batch(value, max(linecount, 1), fill_with))
    meter.spend_value(rows)
    return rows


@pass_context
def columns(context: Context, value: Any, slices: int, fill_with: Any = None) -> list[list[Any]]:
    """The items in `slices` lists of about the same length."""
    refuse_missing(value)
    meter = meter_of(context)
    meter.spend_value(value)
    meter.spend(_width(slices))
    return list(collected(stock.sync_do_slice(value, slices, fill_with), meter))


@pass_context
def rounded(context: Context, value: Any, precision: int = 0, method: str = "common") -> float:
    """`value` to at most 20 places."""
    refuse_missing(value)
    meter_of(context).spend(1)
    if not isinstance(value, int | float) or abs(precision) > 20:
        raise FilterArgumentError("round takes a number and at most 20 places")
    return stock.do_round(value, precision, method)  # type: ignore[arg-type]  # checked by do_round


@pass_context
def total(context: Context, value: Any, attribute: str | int | None = None, start: float = 0) -> float:
    """The sum of numbers."""
    refuse_missing(value)
    meter = meter_of(context)
    meter.spend_value(value)
    pay_for_paths(meter, value, (attribute,), {})
    items = value if attribute is None else map(stock.make_attrgetter(context.environment, attribute), value)
    result: float = start
    for item in items:
        refuse_missing(item)
        if not isinstance(item, int | float):
            raise FilterArgumentError("sum takes numbers")
        result += item
    return result


@pass_context
def tojson(context: Context, value: Any, indent: int | None = None) -> str:
    """`value` as JSON that may stand in HTML."""
    refuse_missing(value)
    meter = meter_of(context)
    meter.spend_value(value)
    if indent is not None and not 0 <= indent <= 8:
        raise FilterArgumentError("tojson indents by at most 8")
    text = stock.do_tojson(context.eval_ctx, value, indent)
    meter.spend_text(len(text))
    return text


@pass_context
def striptags(context: Context, value: Any) -> str:
    """`value` without its tags."""
    meter = meter_of(context)
    text = as_text(value, meter)
    meter.spend(text.count("<") * len(text) // 10_000)  # goes over the text once for each comment
    return stock.do_striptags(text)


BOUNDED_FILTERS: dict[str, Callable[..., Any]] = {
    "batch": batch,
    "center": center,
    "format": text_format,
    "indent": indent,
    "join": join,
    "replace": replace,
    "round": rounded,
    "slice": columns,
    "striptags": striptags,
    "sum": total,
    "tojson": tojson,
}
