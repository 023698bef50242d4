"""`make docs`: writes the tables of docs/operations.md anew, from the settings classes and the metrics.

What stands between `<!-- name: begin -->` and `<!-- name: end -->` is made here, the rest by hand.
tests/architecture/test_operations.py fails where the page is not as this would leave it.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "operations.md"
sys.path.insert(0, str(ROOT))

from carillon.services import SERVICES  # noqa: E402 -- found only after the line above
from shared.process.settings import ProcessSettings, needed_in_production  # noqa: E402
from tools.exported import labels, metrics  # noqa: E402
from tools.meanings import MEANINGS  # noqa: E402


def settings_table() -> str:
    """Every variable, who reads it, where it is set under Compose, what it does."""
    rows = ["| variable | read by | under Compose | what it does |", "|---|---|---|---|"]
    blocks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in sorted({name for cls in _classes().values() for name in cls.model_fields}):
        variable = f"CARILLON_{name.upper()}"
        readers = [reader for reader, cls in _classes().items() if name in cls.model_fields]
        found = {_origin(blocks[f"{reader}_service"]["environment"], variable) for reader in readers}
        fields = [_first_defined(cls, name) for cls in _classes().values() if name in cls.model_fields]
        who = "all" if len(readers) == len(SERVICES) else ", ".join(readers)
        rows.append(f"| `{variable}` | {who} | {', '.join(sorted(found))} | {_meaning(fields)} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Every metric of ours, in the order of its group."""
    known = metrics()
    lines = []
    for heading, meanings in MEANINGS.items():
        lines += [f"**{heading}**", "", "| metric | labels | what it means |", "|---|---|---|"]
        for name, meaning in meanings.items():
            metric = known[name]
            ending = "_total" if metric.type == "counter" else ""
            named = ", ".join(f"`{label}`" for label in labels(name)) or "none"
            what = f"{metric.documentation}. {meaning}"
            lines.append(f"| `{name}{ending}` ({metric.type}) | {named} | {what} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def rewritten(page: str) -> str:
    """The page with its tables as they should be."""
    for name, table in (("settings", settings_table()), ("metrics", metrics_table())):
        begin, end = f"<!-- {name}: begin, by make docs -->", f"<!-- {name}: end -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n\n{table}\n\n{end}{after}"
    return page


def _classes() -> dict[str, type[BaseSettings]]:
    """The settings class of each service by its short name."""
    return {service.name: next(_own(f"{service.module}.settings")) for service in SERVICES}


def _own(module: str) -> Iterator[type[ProcessSettings]]:
    for member in vars(importlib.import_module(module)).values():
        if isinstance(member, type) and issubclass(member, ProcessSettings) and member.__module__ == module:
            yield member


def _first_defined(cls: type[BaseSettings], name: str) -> FieldInfo:
    """As the block describes it from which services take it over; each describes its own port anew."""
    blocks = [
        block for block in cls.__mro__ if issubclass(block, BaseSettings) and name in block.model_fields
    ]
    return blocks[-1].model_fields[name]


def _origin(environment: dict[str, str | None], variable: str) -> str:
    if variable not in environment:
        return "fixed"
    value = environment[variable]
    return "`.env`" if value is None or re.match(rf"\$\{{{variable}\b", str(value)) else "fixed"


def _meaning(fields: list[FieldInfo]) -> str:
    meanings = list(dict.fromkeys(str(field.description) for field in fields))
    needed = " **Needed in production.**" if any(needed_in_production(field) for field in fields) else ""
    return " ".join(meanings).replace("|", "\\|") + needed


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text()))
