"""What a template and its variables become."""

import pytest

from shared.contracts.channels import Channel
from shared.delivery.rendering import (
    BROKEN,
    VARIABLE_MISSING,
    Renderer,
    RenderError,
)
from tests.builders import a_template_version

VARIABLES: dict[str, object] = {
    "name": "<Ann>",
    "items": [{"title": "Tea", "price": 1.5}, {"title": "Milk", "price": 2}],
    "order": {"id": 7, "items": ["cup"]},
    "nothing": None,
}


def body_of(source: str, *, channel: Channel = Channel.EMAIL, **variables: object) -> str:
    """The rendered body of a template."""
    template = a_template_version(body=source, channel=channel)
    return Renderer().render(template, {**VARIABLES, **variables}).body


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi {{ name }}", "Hi &lt;Ann&gt;"),
        ("{{ name | safe }}", "<Ann>"),
        ("{{ name ~ '<b>' ~ 3 }}", "&lt;Ann&gt;&lt;b&gt;3"),
        ("{{ '<b>' | safe ~ name }}", "<b>&lt;Ann&gt;"),
        ("{% set x %}<i>{{ name }}</i>{% endset %}{{ x }}", "<i>&lt;Ann&gt;</i>"),
        (
            "{% for i in items %}{{ loop.index }}/{{ loop.length }} {{ i.title }};{% endfor %}",
            "1/2 Tea;2/2 Milk;",
        ),
        ("{{ items | map(attribute='title') | join(', ') }}", "Tea, Milk"),
        ("{{ items | sum(attribute='price') }}", "3.5"),
        ("{{ items | selectattr('price', 'gt', 1.6) | map(attribute='title') | first }}", "Milk"),
        (
            "{% for g in items | groupby('title') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}",
            "Milk:1 Tea:1 ",
        ),
        ("{{ '%.2f' | format(3.14159) }} {{ '%s' % name }}", "3.14 &lt;Ann&gt;"),
        ("{{ name.upper() }} {{ order.get('zip', 'none') }}", "&lt;ANN&gt; none"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{% macro m(x, y=2) %}[{{ x }}{{ y }}]{% endmacro %}{{ m(1) }}{{ m(3, y=4) }}", "[12][34]"),
        ("{% macro m() %}<{{ caller('z') }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}", "<z>"),
        (
            "{% set n = namespace(t=0) %}{% for i in items %}{% set n.t=n.t + i.price %}{% endfor %}{{n.t}}",
            "3.5",
        ),
        ("{% with a=1, b=2 %}{{ a + b }}{% endwith %}", "3"),
        ("{{ range(3) | list }} {{ [1, 2, 3][1:] }}", "[0, 1, 2] [2, 3]"),
        ("{% filter upper %}a{{ order.id }}{% endfilter %}", "A7"),
        ("{{ {'a': '<'} | tojson }}", '{"a": "\\u003c"}'),
        ("{{ 'x' | center(5) }}|{{ 'a\nb' | indent(2) }}", "  x  |a\n  b"),
    ],
)
def test_usual_template_renders(source: str, expected: str) -> None:
    assert body_of(source) == expected


def test_plain_text_channel_escapes_nothing() -> None:
    assert body_of("Hi {{ name }} & co", channel=Channel.PUSH) == "Hi <Ann> & co"


def test_subject_and_text_part_of_a_mail_are_not_escaped() -> None:
    template = a_template_version(subject="For {{ name }}", body="x", text_body="To {{ name }} & co")
    rendered = Renderer().render(template, VARIABLES)
    assert rendered.subject == "For <Ann>"
    assert rendered.text_body == "To <Ann> & co"


def test_subject_stays_one_line_whatever_is_put_into_it() -> None:
    template = a_template_version(subject="A {{ name }}")
    rendered = Renderer().render(template, {"name": "b\r\nBcc: x@example.com\x00\u2028c\x85d"})
    assert rendered.subject == "A b Bcc: x@example.com c d"


def test_own_keys_go_before_the_methods_of_a_dict() -> None:
    assert body_of("{{ order.items | join }}") == "cup"


def test_null_prints_as_nothing() -> None:
    assert body_of("[{{ nothing }}{{ nothing | upper }}{{ nothing ~ '' }}]") == "[]"


def test_condition_without_else_prints_as_nothing() -> None:
    assert body_of("{{ 'seven' if order.id == 7 }}{{ 'eight' if order.id == 8 }}") == "seven"


def test_default_covers_the_whole_path() -> None:
    assert body_of("{{ nobody.address.city | default('-') }}{{ order.zip.code | default('-') }}") == "--"


@pytest.mark.parametrize(
    "source",
    [
        "{{ missing }}",
        "{{ missing.city }}",
        "{{ missing() }}",
        "{{ missing | upper }}",
        "{{ missing ~ 'x' }}",
        "{{ [missing] }}",
        "{{ missing == 1 }}",
        "{% if missing %}{% endif %}",
        "{% for x in missing %}{% endfor %}",
        "{{ items | map(attribute='missing') | list }}",
    ],
)
def test_missing_variable_is_named(source: str) -> None:
    with pytest.raises(RenderError) as caught:
        body_of(source)
    assert caught.value.kind == VARIABLE_MISSING
    assert caught.value.message == "body: variable 'missing' is missing"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ 1 / 0 }}", "line 1: the values given cannot be used so (ZeroDivisionError)"),
        ("\n\n{{ secret | int + secret }}", "line 3: the values given cannot be used so (TypeError)"),
        ("{% for x in 5 %}{% endfor %}", "line 1: the values given cannot be used so (TypeError)"),
        ("{{ range }}", "line 1: a function cannot be written as text"),
        ("{{ namespace() }}", "line 1: a namespace cannot be written as text"),
    ],
)
def test_other_failures_name_the_line_and_no_value(source: str, reason: str) -> None:
    with pytest.raises(RenderError) as caught:
        body_of(source, secret="hunter2")
    assert caught.value.kind == BROKEN
    assert caught.value.message == f"body: {reason}"
    assert "hunter2" not in str(caught.value)


def test_failure_names_the_part() -> None:
    template = a_template_version(subject="{{ missing }}")
    with pytest.raises(RenderError, match="subject: variable 'missing'"):
        Renderer().render(template, VARIABLES)


def test_rendering_changes_no_variable() -> None:
    variables: dict[str, object] = {"items": [2, 1], "name": "x"}
    Renderer().render(a_template_version(body="{% set name = 1 %}{{ items | sort }}"), variables)
    assert variables == {"items": [2, 1], "name": "x"}


def test_compiled_templates_are_kept_within_their_bound() -> None:
    renderer = Renderer(cached_characters=1000)
    for number in range(50):
        renderer.render(a_template_version(body=f"{number}" + "x" * 300, subject=None), {})
    assert len(renderer._compiled) <= 3
