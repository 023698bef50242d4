"""docker-compose.yml as Compose reads it: parsed, and its variables filled in from an `.env`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.source import ROOT

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<operand>[^}]*))?\}")
_ASSIGNMENT = re.compile(r"^(\w+)=(.*)$", re.MULTILINE)


class VariableMissing(Exception):
    """Compose refuses to start: a `${NAME:?…}` has no value."""


class _Loader(yaml.SafeLoader):
    """YAML with the tags of Compose, which say how files are merged and not what a value is."""


def _overriding(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node)


_Loader.add_constructor("!override", _overriding)


def parsed(name: str) -> dict[str, Any]:
    """A YAML file of the repository, anchors and merges resolved."""
    document = yaml.load((ROOT / name).read_text(), Loader=_Loader)
    assert isinstance(document, dict)
    return document


def variables(text: str) -> set[str]:
    """The names that stand in `${…}`."""
    return {match["name"] for match in _VARIABLE.finditer(text) if match["name"]}


def filled_in(value: Any, given: Mapping[str, str]) -> Any:
    """`value` with its variables replaced, all the way down. Raises VariableMissing."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _value(match, given), value)
    if isinstance(value, dict):
        return {key: filled_in(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each, given) for each in value]
    return value


def environment(service: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """What the container's processes find. A variable without a value is handed through where it is set."""
    block = service.get("environment", {})
    through = {name: given[name] for name, value in block.items() if value is None and name in given}
    return through | {
        name: str(filled_in(value, given)) for name, value in block.items() if value is not None
    }


def read_env(path: Path) -> dict[str, str]:
    """The assignments in an `.env`."""
    return {name: value.strip("'") for name, value in _ASSIGNMENT.findall(path.read_text())}


def _value(match: re.Match[str], given: Mapping[str, str]) -> str:
    name, operator, operand = match["name"], match["operator"] or "", match["operand"] or ""
    if name is None:
        return "$"
    value = given.get(name)
    if operator.startswith(":") and not value:
        value = None
    if value is not None:
        return value
    if operator.endswith("?"):
        raise VariableMissing(name)
    return operand
