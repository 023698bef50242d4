"""An example for each body in the OpenAPI description, put together from the examples of its fields.

They stand beside the fields in shared/contracts/http; a model whose fields depend on each other has a
whole one of its own.
"""

from typing import Any

UNKNOWN = "(no example)"
"""Where a field has neither an example nor a type that speaks for itself. A test sees that none has."""
_BY_FORMAT = {
    "uuid": "0192f4c1-7d3b-7c7e-9d6a-1f6f3a2b4c5d",
    "date-time": "2030-01-31T08:00:00Z",
}
_BY_TYPE: dict[object, object] = {"boolean": False, "integer": 1, "number": 1.5, "null": None}

Schema = dict[str, Any]


def example_of(schema: Schema, schemas: dict[str, Schema]) -> object:
    """One value that is valid by `schema`; `schemas` are those it may refer to."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for given in ("examples", "enum"):
        if given in schema:
            return schema[given][0]
    for given in ("const", "default"):
        if given in schema:
            return schema[given]
    if "anyOf" in schema:
        return _first_known([example_of(one, schemas) for one in schema["anyOf"]])
    if "properties" in schema:
        return {
            name: example_of(field, schemas)
            for name, field in schema["properties"].items()
            if name in schema.get("required", ()) or _is_shown(field)
        }
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas)]
    if schema.get("type") == "object":
        return {}
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(schema.get("type"), UNKNOWN))


def _is_shown(field: Schema) -> bool:
    """Of the fields that need not be given: those with a value of their own, or an example."""
    return (
        field.get("default") is not None
        or "examples" in field
        or any("examples" in one for one in field.get("anyOf", ()))
    )


def _first_known(values: list[object]) -> object:
    """Null only where nothing better is known."""
    known = [value for value in values if value not in (UNKNOWN, None)]
    return known[0] if known else values[-1]
