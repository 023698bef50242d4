"""Which variables a template cannot do without."""

import pytest

from shared.contracts.channels import Channel
from shared.delivery.rendering import TemplateSyntaxProblem, analyse

CASES = {
    "{{ a }} {{ b.c }} {{ d['e'] }} {{ f[g] }}": "a b d f g",
    "{{ a | upper | default('x') }}": "a",
    "{{ a | default('x') }} {{ b | d(c) }} {{ e.f | default }}": "c",
    "{{ a[b] | default('x') }}": "b",
    "{{ (a ~ b) | default('x') }}": "a b",
    "{% if a is defined %}{{ a }}{% else %}{{ b }}{% endif %}": "b",
    "{% if a is not defined %}{{ b }}{% else %}{{ a }}{% endif %}": "b",
    "{% if a is undefined %}x{% elif a.b %}{{ a.c }}{% endif %}": "",
    "{% if a is defined and a.b and c %}{{ a }}{% endif %}": "c",
    "{% if a is defined or b %}{{ a }}{% endif %}": "a b",
    "{% if a is undefined or b %}x{% else %}{{ a }}{% endif %}": "b",
    "{{ a if a is defined else b }}": "b",
    "{{ a is defined and a }}": "",
    "{% if a %}{{ a }}{% endif %}": "a",
    "{% for x in a %}{{ x }}{{ loop.index }}{{ b }}{% else %}{{ x2 }}{% endfor %}": "a b x2",
    "{% for k, v in a.items() if v > b %}{{ k }}{% endfor %}{{ k }}": "a b k",
    "{% set a = b %}{{ a }}": "b",
    "{% set a, c = b %}{{ a }}{{ c }}": "b",
    "{% set a %}{{ b }}{% endset %}{{ a }}": "b",
    "{% if x is not defined %}{% set x = 1 %}{% endif %}{{ x }}": "",
    "{% if c %}{% set x = 1 %}{% endif %}{{ x }}": "c x",
    "{% if c %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}": "c",
    "{% for i in a %}{% set x = 1 %}{% endfor %}{{ x }}": "a x",
    "{% with x = a %}{{ x }}{{ b }}{% endwith %}": "a b",
    "{% macro m(x, y=a) %}{{ x }}{{ y }}{{ varargs }}{{ b }}{% endmacro %}{{ m(c) }}": "a b c",
    "{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(x) m() %}{{ x }}{{ a }}{% endcall %}": "a",
    "{% set n = namespace(t=a) %}{% set n.t = b %}{{ n.t }}": "a b",
    "{% filter replace(a, b) %}{{ c }}{% endfilter %}": "a b c",
    "{{ range(a) }} {{ dict(x=b) }} {{ true }} {{ none }}": "a b",
    "{# {{ a }} #}{% raw %}{{ b }}{% endraw %}": "",
    "{{ [a, {'k': b, c: 1}] }} {{ d ~ e }} {{ f in g }} {{ not h }} {{ -i }}": "a b c d e f g h i",
}


@pytest.mark.parametrize("source", CASES)
def test_needed_variables_are_those_without_a_way_out(source: str) -> None:
    names = analyse(subject=None, body=source, text_body=None, channel=Channel.EMAIL)
    assert names == tuple(CASES[source].split())


def test_every_part_counts() -> None:
    names = analyse(subject="{{ a }}", body="{{ b }}", text_body="{{ c }}", channel=Channel.EMAIL)
    assert names == ("a", "b", "c")


@pytest.mark.parametrize("part", ["subject", "body", "text_body"])
def test_mistake_is_told_by_part_and_line(part: str) -> None:
    texts: dict[str, str | None] = {"subject": "x", "body": "x", "text_body": None, part: "x\n{{ }}"}
    with pytest.raises(TemplateSyntaxProblem) as caught:
        analyse(
            subject=texts["subject"],
            body=texts["body"] or "",
            text_body=texts["text_body"],
            channel=Channel.EMAIL,
        )
    assert (caught.value.part, caught.value.line) == (part, 2)
