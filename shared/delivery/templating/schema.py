"""JSON Schema 2020-12 for a template's variables: written by strangers, so checked, metered, and never
fetched from anywhere.

`pattern` runs on Rust's regular expressions, which take linear time; look-around and back-references are
refused when a schema is set. `format` is an annotation, as the specification has it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as PatternMismatch
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from shared.delivery.templating.meter import Meter, TooExpensive

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_PROBLEMS = 20
_STEPS = 100_000

_meter: ContextVar[Meter] = ContextVar("schema_meter")

Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]


class SchemaProblem(ValueError):
    """A schema that cannot be used; the message is for the one who wrote it."""


def check_schema(schema: dict[str, Any]) -> None:
    """Raises SchemaProblem where `schema` is not JSON Schema 2020-12, too large, or refers to elsewhere."""
    try:
        if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
            raise SchemaProblem(f"a schema has at most {MAX_SCHEMA_BYTES} bytes")
        _check_parts(schema)
        Draft202012Validator.check_schema(schema, format_checker=None)
        _check_references(schema)
    except SchemaError as error:
        place = "/".join(map(str, error.absolute_path))
        raise SchemaProblem(f"not JSON Schema 2020-12 at {place or 'its top'}") from error
    except Unresolvable as error:
        raise SchemaProblem("the schema refers to something that is not in it") from error
    except (RecursionError, TypeError) as error:
        raise SchemaProblem("the schema is nested too deeply") from error


def violations(schema: dict[str, Any], variables: dict[str, Any]) -> list[tuple[str, str]]:
    """(path, message) of what in `variables` is not as `schema` says, without any of their values."""
    found = _violations(schema, variables)
    return [("", "cannot be checked against the template's schema")] if found is None else found


def _violations(schema: dict[str, Any], variables: dict[str, Any]) -> list[tuple[str, str]] | None:
    token = _meter.set(Meter(_STEPS))
    try:
        found = []
        for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(variables):
            found.append((".".join(map(str, error.absolute_path)), _message(error)))
            if len(found) == MAX_PROBLEMS:
                break
        return found
    except (TooExpensive, RecursionError, Unresolvable):
        return None
    finally:
        _meter.reset(token)


@lru_cache(maxsize=512)
def _validator(schema: str) -> Any:
    return _Validator(json.loads(schema), registry=Registry())


def _check_parts(schema: dict[str, Any]) -> None:
    parts: list[tuple[object, int]] = [(schema, 1)]
    while parts:
        part, depth = parts.pop()
        if depth > MAX_SCHEMA_DEPTH:
            raise SchemaProblem("the schema is nested too deeply")
        if isinstance(part, dict):
            for key, value in part.items():
                _check_keyword(key, value)
                parts.append((value, depth + 1))
        elif isinstance(part, list):
            parts.extend((item, depth + 1) for item in part)


def _check_references(schema: dict[str, Any]) -> None:
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    parts: list[object] = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            for key in ("$ref", "$dynamicRef"):
                if isinstance(part.get(key), str):
                    resolver.lookup(part[key])
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    if _violations(schema, {}) is None:
        raise SchemaProblem("the schema refers to itself without end")


def _check_keyword(key: str, value: object) -> None:
    # What is no text here is a property of this name, or the meta-schema's to refuse.
    if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
        raise SchemaProblem(f"{key} may refer only to the schema itself, as #/$defs/…")
    if key == "$schema" and isinstance(value, str) and value.rstrip("#") != DIALECT:
        raise SchemaProblem(f"$schema must be {DIALECT}")
    if key == "$id" and isinstance(value, str):
        raise SchemaProblem("$id is not available")
    if key in ("unevaluatedProperties", "unevaluatedItems"):
        raise SchemaProblem(f"{key} is not available; additionalProperties and items are")
    if key == "pattern" and isinstance(value, str):
        _pattern(value)
    if key == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            _pattern(pattern)


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError as error:
        raise SchemaProblem("a pattern is not a regular expression that can be used") from error


def _matches(pattern: str, text: str) -> bool:
    _meter.get().spend(1 + len(text) // 100)
    try:
        _pattern(pattern).validate_python(text)
    except PatternMismatch:
        return False
    return True


def _check_pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("pattern")


def _check_pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if _matches(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _check_additional(
    validator: Any, additional: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    patterns = schema.get("patternProperties", {})
    for name, value in instance.items():
        if name in schema.get("properties", {}) or any(_matches(pattern, name) for pattern in patterns):
            continue
        if additional is False:
            yield ValidationError("additionalProperties", path=[name])
        else:
            yield from validator.descend(value, additional, path=name)


def _check_required(
    _validator: Any, names: list[str], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        yield from (ValidationError("required", path=[name]) for name in names if name not in instance)


def _check_unique(_validator: Any, unique: bool, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if unique and isinstance(instance, list):
        _meter.get().spend_value(instance)
        # JSON's notion of equality: true is not 1, and 1.0 is
        canonical = {msgspec.json.encode(_canonical(item), order="sorted") for item in instance}
        if len(canonical) != len(instance):
            yield ValidationError("uniqueItems")


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return value


def _metered(keyword: Keyword) -> Keyword:
    def metered(
        validator: Any, argument: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[ValidationError] | None:
        size = len(instance) if isinstance(instance, list | dict) else 0
        _meter.get().spend(2 + size // 4)
        return keyword(validator, argument, instance, schema)

    return metered


def _message(error: ValidationError) -> str:
    given = error.validator_value
    match error.validator:
        case "required":
            return "is required"
        case "type":
            return f"must be of type {' or '.join(given) if isinstance(given, list) else given}"
        case "additionalProperties" | "unevaluatedProperties":
            return "is not a variable of this template"
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minimum" | "maximum":
            return f"does not keep to {error.validator} {given}"
        case None:
            return "is not allowed"
        case keyword:
            return f"does not keep to the schema's {keyword}"


_OWN: dict[str, Keyword] = {
    "pattern": _check_pattern,
    "patternProperties": _check_pattern_properties,
    "additionalProperties": _check_additional,
    "required": _check_required,
    "uniqueItems": _check_unique,
}
_Validator: Any = extend(
    Draft202012Validator,
    {name: _metered(keyword) for name, keyword in {**Draft202012Validator.VALIDATORS, **_OWN}.items()},
)
