"""Jinja2's sandbox, closed further: names what a template may touch instead of what it may not.

Jinja2's own sandbox keeps a template away from Python's internals, and stops neither `range` in `range`
nor `'a' * 2_000_000_000`. Here every operation, call, loop and output is metered (`meter`), attributes
and methods are allow-lists, and a dict's own keys go before its methods, so that `order.items` is what
the sender put there.
"""

from collections.abc import (
    Callable,
    Collection,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from types import BuiltinMethodType, MethodType
from typing import Any

from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context
from markupsafe import Markup

from shared.delivery.templating.arithmetic import check_power, check_product, check_size, formatted
from shared.delivery.templating.meter import TooExpensive
from shared.delivery.templating.values import MeteredContext, Missing, as_text, meter_of, refuse_missing

MAX_TOKENS = 10_000
MAX_RANGE = 10_000
_LONG_TEXT = 1000
# fmt: off
STRING_METHODS = frozenset({
    "capitalize", "endswith", "find", "isalnum", "isalpha", "isdigit", "islower", "isnumeric", "isspace",
    "isupper", "lower", "lstrip", "partition", "rstrip", "split", "splitlines", "startswith", "strip",
    "swapcase", "title", "upper",
})
DICT_METHODS = frozenset({"get", "items", "keys", "values"})
LOOP_METHODS = frozenset({"changed", "cycle"})
LOOP_ATTRIBUTES = frozenset({
    *LOOP_METHODS, "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem",
    "revindex", "revindex0",
})
# fmt: on


@pass_context
def _finalize(context: Context, value: object) -> str:
    text = as_text(value, meter_of(context))
    if len(text) > _LONG_TEXT and context.eval_ctx.autoescape and not isinstance(text, Markup):
        # Escaping comes next, and makes up to five characters of one.
        meter_of(context).spend_text(len(text) + 4 * sum(map(text.count, "&<>\"'")))
    return text


def bounded_range(*bounds: int) -> range:
    """At most MAX_RANGE numbers. Raises TooExpensive."""
    numbers = range(*bounds)
    try:
        length = len(numbers)
    except OverflowError:
        length = MAX_RANGE + 1
    if length > MAX_RANGE:
        raise TooExpensive(f"a range holds at most {MAX_RANGE} numbers")
    return numbers


class TokenLimit(Extension):
    """Gives up on a source with too many tags before they have been parsed."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Raises TemplateSyntaxError."""
        for number, token in enumerate(stream):
            if number >= MAX_TOKENS:
                raise TemplateSyntaxError(f"a template has at most {MAX_TOKENS} tokens", token.lineno)
            yield token


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment for one kind of text; `autoescape` is set for HTML."""

    context_class = MeteredContext
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(
        self,
        *,
        autoescape: bool,
        filters: Mapping[str, Callable[..., Any]],
        tests: Mapping[str, Callable[..., Any]],
    ) -> None:
        super().__init__(
            autoescape=autoescape,
            undefined=Missing,
            finalize=_finalize,
            optimized=False,  # no folding of constants while compiling: `'a' * 2_000_000_000`
            cache_size=0,
            extensions=[TokenLimit],
        )
        self.filters = dict(filters)
        self.tests = dict(tests)
        self.globals = {"range": bounded_range, "dict": dict, "namespace": Namespace}

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`, of what JSON is made of and what Jinja2 itself hands to a template."""
        if isinstance(obj, Missing):
            return obj
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if attribute in _allowed(obj):
            return getattr(obj, attribute)
        if attribute.startswith("_") or (isinstance(obj, str | list | tuple) and hasattr(obj, attribute)):
            return self.undefined(f"{attribute!r} is not available", exc=SecurityError)
        return self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, where `obj` is a dict, list or string."""
        if isinstance(obj, Missing):
            return obj
        if isinstance(argument, str):
            if isinstance(obj, dict):
                return obj[argument] if argument in obj else self.undefined(name=argument)
            # `map(attribute='grouper')` comes here as well
            return self.getattr(obj, argument) if isinstance(obj, tuple) else self.undefined(name=argument)
        if isinstance(obj, str | list | tuple | dict):
            try:
                return obj[argument]
            except LookupError:
                return self.undefined(f"there is no item {argument}" if isinstance(argument, int) else None)
        return self.undefined(name=str(argument) if isinstance(argument, int) else "item")

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, the three globals, and the methods that `getattr` gives out."""
        if isinstance(obj, Macro) or any(obj is known for known in (bounded_range, dict, Namespace)):
            return True
        if isinstance(obj, BuiltinMethodType | MethodType):
            owner, name = obj.__self__, obj.__name__
            return (
                (isinstance(owner, str) and name in STRING_METHODS)
                or (isinstance(owner, dict) and name in DICT_METHODS)
                or (isinstance(owner, LoopContext) and name in LOOP_METHODS)
            )
        return False

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja2 does
        """A call in a template. Raises SecurityError, TooExpensive, and what is called raises."""
        if isinstance(__obj, Undefined):
            refuse_missing(__obj)
        if not __self.is_safe_callable(__obj):
            raise SecurityError("this cannot be called")
        meter = meter_of(__context)
        meter.spend(2)
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            meter.spend_text(len(owner))
        for argument in (*args, *kwargs.values()):
            meter.spend_value(argument)
        result = __context.call(__obj, *args, **kwargs)
        meter.spend_value(list(result) if isinstance(result, _DICT_VIEWS) else result)
        return result

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A filter asked for by name, as `map` does: not one of those that `source` puts in."""
        if not name.isidentifier():
            raise SecurityError("there is no such filter")
        return super().call_filter(name, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An arithmetic operation, whose result has a size that was paid for."""
        meter = meter_of(context)
        meter.spend_value(left)
        meter.spend_value(right)
        check_size(left)
        check_size(right)
        if operator == "**":
            check_power(left, right)
        elif operator == "*":
            check_product(left, right)
        elif operator == "%" and isinstance(left, str):
            return formatted(left, right, meter)
        result = super().call_binop(context, operator, left, right)
        check_size(result)
        meter.spend_value(result)
        return result


def _allowed(obj: object) -> Collection[str]:
    """The attributes of `obj` that a template may have."""
    if isinstance(obj, dict):
        return DICT_METHODS
    if isinstance(obj, str):
        return STRING_METHODS
    if isinstance(obj, LoopContext):
        return LOOP_ATTRIBUTES
    if isinstance(obj, Namespace):
        names: dict[str, object] = (
            obj._Namespace__attrs
        )  # all that Namespace holds, and it has no other way in
        return [name for name in names if not name.startswith("_")]
    if isinstance(obj, tuple):
        return getattr(type(obj), "_fields", ())  # `grouper` and `list` of groupby
    return ()


_DICT_VIEWS = (ItemsView, KeysView, ValuesView)
