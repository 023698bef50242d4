"""What `source` puts into a template to meter it. A template cannot spell these filters' names."""

from collections.abc import Callable, Iterator
from typing import Any

from jinja2.runtime import Context, markup_join, str_join
from jinja2.utils import pass_context

from shared.delivery.templating.values import as_text, meter_of

LOOP, PAID, ENTRY, CONCATENATION = "the loop", "the value", "the entry", "the parts"


@pass_context
def counted_loop(context: Context, value: Any, weight: int) -> Iterator[Any]:
    """The items of a loop, each paid for with the size of the loop's body."""
    meter = meter_of(context)
    for item in value:
        meter.spend(weight)
        yield item


@pass_context
def paid(context: Context, value: Any) -> Any:
    """`value`, paid for in full."""
    meter_of(context).spend_value(value)
    return value


@pass_context
def counted_entry(context: Context, weight: int) -> None:
    """A macro's body, paid for as it is entered."""
    meter_of(context).spend(weight)


@pass_context
def concatenation(context: Context, parts: list[Any]) -> str:
    """`a ~ b`."""
    meter = meter_of(context)
    texts = [as_text(part, meter) for part in parts]
    meter.spend_text(sum(map(len, texts)))
    return markup_join(texts) if context.eval_ctx.autoescape else str_join(texts)


INSTRUMENTS: dict[str, Callable[..., Any]] = {
    LOOP: counted_loop,
    PAID: paid,
    ENTRY: counted_entry,
    CONCATENATION: concatenation,
}
