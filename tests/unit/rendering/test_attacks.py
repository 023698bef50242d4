"""Templates that mean harm end soon, in little memory, with a sentence that says why."""

import time
import tracemalloc

import pytest

from shared.contracts.channels import Channel
from shared.delivery.rendering import (
    BROKEN,
    TOO_EXPENSIVE,
    Renderer,
    RenderError,
    TemplateSyntaxProblem,
    analyse,
)
from tests.builders import a_template_version

CPU_LIMIT_S = 1.0
MEMORY_LIMIT_BYTES = 64 * 1024 * 1024
TWICE = (
    "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = EXPRESSION %}{% endfor %}{{ n.x }}"
)
LOOP = "{% for i in range(9999) %}BODY{% endfor %}"


def twice(expression: str, start: str = "'ab'") -> str:
    """A value that doubles 99 times."""
    return TWICE.replace("EXPRESSION", expression).replace("'ab'", start)


def loop(body: str) -> str:
    """A body that runs 9,999 times."""
    return LOOP.replace("BODY", body)


EXPENSIVE = {
    "endless range": "{% for a in range(10**9) %}x{% endfor %}",
    "range in range": loop(loop("")),
    "filtered range in range": loop("{% for b in range(9999) if false %}{% endfor %}"),
    "repetition": "{{ 'a' * 2000000000 }}",
    "repetition of a list": "{{ [1] * 2000000000 }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "squares": twice("n.x * n.x", "3"),
    "concatenation": twice("n.x ~ n.x"),
    "addition": twice("n.x + n.x"),
    "list addition": twice("n.x + n.x", "[1]"),
    "list of lists": twice("[n.x, n.x]", "[1]"),
    "tuple of tuples": twice("(n.x, n.x)", "[1]"),
    "dict of dicts": twice("{'a': n.x, 'b': n.x}", "[1]"),
    "dict by call": twice("dict(a=n.x, b=n.x)", "[1]"),
    "macro doubling": "{% macro d(x) %}{{ x }}{{ x }}{% endmacro %}" + twice("d(n.x)"),
    "block doubling": "{% set a %}ab{% endset %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60,
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "branching recursion": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
    "{{ m(50) }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "indent": "{{ ('a\n' * 100000) | indent(1000000000) }}",
    "indent of many lines": "{{ ('a\n' * 100000) | indent(999) }}",
    "join": "{{ range(9999) | join('x' * 100000) }}",
    "replace": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "replace of nothing": "{{ ('a' * 100000) | replace('', 'b' * 1000) }}",
    "mapped center": "{{ range(9999) | map('center', 1000) | join }}",
    "batch": "{{ [1] | batch(1000000000, 'x') | list }}",
    "slice": "{{ [1] | slice(1000000000) | list }}",
    "striptags": "{{ ('<!--' * 200000) | striptags }}",
    "escape": "{{ ('<' * 1000000) | e }}",
    "escape in output": "{{ '<' * 1000000 }}",
    "text in a loop": loop("{{ 'a' * 1000 }}"),
    "static text in a loop": loop("x" * 100_000),
    "static text in a block in a loop": loop("{% set x %}" + "x" * 100_000 + "{% endset %}"),
    "static text in a macro": "{% macro m() %}" + "x" * 100_000 + "{% endmacro %}" + loop("{{ m() }}"),
    "comparisons": "{% set a = 'a' * 999999 %}{% set b = 'a' * 999999 %}"
    + loop("{% if a == b %}{% endif %}"),
    "membership": "{% set a = range(9999) | list %}" + loop("{% if i in a %}{% endif %}"),
    "slices": "{% set a = 'a' * 999999 %}" + loop("{% if a[1:] %}{% endif %}"),
    "methods": "{% set a = 'a' * 999999 %}" + loop("{% set x = a.isalnum() %}"),
    "splitting": "{% set a = 'a ' * 499999 %}" + loop("{% set x = a.split() %}"),
    "long paths": "{% set p = 'a.' * 400000 %}{{ range(9999) | map(attribute=p) | list }}",
    "huge numbers": "{{ ('f' * 999999) | int(base=16) }}",
    "wide formats": "{{ ('%(a)999d' * 100000) % {'a': 1} }}",
    "lists in a loop": loop("{{ range(9999) | list | length }}"),
    "sorting": loop("{{ range(9999) | sort | last }}"),
    "escaped blocks": "{% set s = '&' * 200000 %}" + "{% set x %}{{ s }}{% endset %}" * 99,
}

GROWING = (
    "repetition",
    "repetition of a list",
    "concatenation",
    "addition",
    "list of lists",
    "macro doubling",
    "block doubling",
    "join",
    "replace",
    "mapped center",
    "escape",
    "escape in output",
    "escaped blocks",
    "static text in a macro",
    "splitting",
    "wide formats",
)
"""Those that would fill the memory; tracing it slows them down, so not the others."""

FORBIDDEN = {
    "printf width": "{{ '%900000000d' % 1 }}",
    "printf width by filter": "{{ '%900000000d' | format(1) }}",
    "printf precision": "{{ '%.900000000f' | format(1) }}",
    "printf width from values": "{{ '%*d' % (900000000, 1) }}",
    "str.format": "{{ '{0.__class__}'.format(1) }}",
    "str.format_map": "{{ '{x}'.format_map({}) }}",
    "unbound growth": "{{ 'a'.center(1000000000) }}",
    "list mutation": "{{ [1].append(2) }}",
    "internal filter": "{{ [1] | map('the value') | list }}",
    "rounding": "{{ 1 | round(1000000000, 'floor') }}",
    "json indent": "{{ [1] | tojson(indent=1000000000) }}",
    "sum of lists": "{{ [[1] * 1000] | sum(start=[]) }}",
    "self-containing namespace": "{% set n = namespace() %}{% set n.a = n %}{{ [n] }}",
}

UNWRITABLE = {
    "attribute walk": "{{ ''.__class__.__mro__ }}",
    "attribute walk by default": "{{ x.__globals__ | default('') }}",
    "attr filter": "{{ x | attr('__class__') }}",
    "include": "{% include 'x' %}",
    "import": "{% import 'x' as y %}",
    "from import": "{% from 'x' import y %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "self": "{{ self }}",
    "autoescape off": "{% autoescape false %}{{ x }}{% endautoescape %}",
    "recursive loop": "{% for x in y recursive %}{{ loop(x) }}{% endfor %}",
    "random": "{{ [1] | random }}",
    "deep parentheses": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "deep blocks": "{% if 1 %}" * 100 + "{% endif %}" * 100,
    "deep loops": "{% for x in [1] %}" * 30 + "{% endfor %}" * 30,
    "long sum": "{{ " + "+".join(["1"] * 5000) + " }}",
    "long minus": "{{ " + "-" * 2000 + "1 }}",
    "long path": "{{ x" + ".a" * 2000 + " }}",
    "too many tags": "{{ a }}" * 30_000,
    "open tags": "{{" * 100_000,
    "open blocks": "{%" * 100_000,
    "open comments": "{#" * 100_000,
    "open string": "{{ '" + "a" * 400_000,
    "too long": "x" * 600_000,
}


@pytest.mark.parametrize("source", EXPENSIVE.values(), ids=EXPENSIVE.keys())
def test_expensive_template_ends_soon(source: str) -> None:
    error, cpu_s = refusal(source)
    assert error.kind == TOO_EXPENSIVE
    assert cpu_s < CPU_LIMIT_S


@pytest.mark.parametrize("name", GROWING)
def test_growing_template_takes_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        refusal(EXPENSIVE[name])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_LIMIT_BYTES


@pytest.mark.parametrize("source", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_forbidden_operation_is_refused(source: str) -> None:
    error, cpu_s = refusal(source)
    assert error.kind in (BROKEN, TOO_EXPENSIVE)
    assert cpu_s < CPU_LIMIT_S


@pytest.mark.parametrize("source", UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_forbidden_template_cannot_be_written(source: str) -> None:
    started = time.process_time()
    with pytest.raises(TemplateSyntaxProblem):
        analyse(subject=None, body=source, text_body=None, channel=Channel.EMAIL)
    assert time.process_time() - started < CPU_LIMIT_S


def test_attribute_walk_by_subscript_finds_nothing() -> None:
    template = a_template_version(body="{{ ''['__class__'] | default('nothing') }}", subject=None)
    assert Renderer().render(template, {}).body == "nothing"


def refusal(source: str) -> tuple[RenderError, float]:
    """What rendering the source raises, and the CPU time that took, in seconds."""
    renderer = Renderer()
    started = time.process_time()
    with pytest.raises(RenderError) as caught:
        renderer.render(a_template_version(body=source, subject=None), {})
    return caught.value, time.process_time() - started
