"""Variables are checked before anything is accepted, and schemas before they are used."""

import time
from typing import Any

import pytest

from shared.delivery.rendering import check_variables
from shared.delivery.templating.schema import SchemaProblem, check_schema, violations
from tests.builders import a_template_version

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "pattern": "^[A-Z]"},
        "count": {"type": ["integer", "null"], "maximum": 10},
        "lines": {"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/line"}},
    },
    "patternProperties": {"^x_": {"type": "boolean"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "object", "required": ["sku"]}},
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"name": "Ann", "count": None, "lines": [{"sku": 1}], "x_y": True}, []),
        ({}, [("name", "is required")]),
        ({"name": 5}, [("name", "must be of type string")]),
        ({"name": "A"}, [("name", "does not keep to minLength 2")]),
        ({"name": "ann"}, [("name", "does not keep to the schema's pattern")]),
        ({"name": "Ann", "count": "x"}, [("count", "must be of type integer or null")]),
        ({"name": "Ann", "count": 11}, [("count", "does not keep to maximum 10")]),
        ({"name": "Ann", "lines": [{}]}, [("lines.0.sku", "is required")]),
        (
            {"name": "Ann", "lines": [{"sku": 1}, {"sku": 1.0}]},
            [("lines", "does not keep to the schema's uniqueItems")],
        ),
        ({"name": "Ann", "lines": [{"sku": 1}, {"sku": True}]}, []),
        ({"name": "Ann", "x_y": 1}, [("x_y", "must be of type boolean")]),
        ({"name": "Ann", "other": 1}, [("other", "is not a variable of this template")]),
    ],
)
def test_violations_name_the_field_and_no_value(
    variables: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    check_schema(ORDER)
    assert violations(ORDER, variables) == expected


def test_missing_and_misfitting_variables_are_told_once_each() -> None:
    template = a_template_version(required_variables=("city", "name"), variables_schema=ORDER)
    assert check_variables(template, {"count": "x"}) == [
        ("variables.city", "is required by the template"),
        ("variables.name", "is required by the template"),
        ("variables.count", "must be of type integer or null"),
    ]
    assert check_variables(a_template_version(required_variables=("name",)), {"name": None}) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": []},
        {"$ref": "https://example.com/schema"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "other.json"}}},
        {"properties": {"a": {"$ref": "#/$defs/none"}}},
        {"$ref": "#"},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"$id": "https://example.com/"},
        {"pattern": "(a"},
        {"pattern": "(?=a)"},
        {"patternProperties": {"(a": {}}},
        {"unevaluatedProperties": False},
        {"description": "x" * 70_000},
        {"const": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]},
    ],
)
def test_unusable_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaProblem):
        check_schema(schema)


def test_properties_may_be_called_like_keywords() -> None:
    check_schema({"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}})


@pytest.mark.parametrize(
    ("schema", "variables"),
    [
        ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 50_000 + "!"}),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [[number] for number in range(20_000)]}),
        (
            {
                "$defs": {
                    f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(30)
                }
                | {"d30": {"type": "string"}},
                "properties": {"a": {"$ref": "#/$defs/d0"}},
            },
            {"a": "x"},
        ),
        (
            {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
            {"a": [[[]]]},
        ),
    ],
)
def test_checking_ends_soon(schema: dict[str, Any], variables: dict[str, Any]) -> None:
    check_schema(schema)
    started = time.process_time()
    violations(schema, variables)
    assert time.process_time() - started < 1


def test_schema_without_end_is_a_violation_and_no_crash() -> None:
    schema = {"properties": {"a": {"$ref": "#/properties/a"}}}
    assert violations(schema, {"a": 1}) == [("", "cannot be checked against the template's schema")]
