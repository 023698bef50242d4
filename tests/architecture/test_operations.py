"""docs/operations.md says what is so: its tables are those of the code, and it leaves nothing out."""

import re
from pathlib import Path

from tests.architecture.compose import parsed, variables
from tests.architecture.source import ROOT
from tools.exported import metrics, series, series_in
from tools.meanings import MEANINGS
from tools.operations import rewritten

PAGE = (ROOT / "docs/operations.md").read_text()
COMPOSE_FILES = ("docker-compose.yml", "deploy/tls.yml")


def test_the_tables_are_as_make_docs_would_write_them() -> None:
    assert rewritten(PAGE) == PAGE, "run `make docs`"


def test_every_metric_has_a_meaning_and_every_meaning_a_metric() -> None:
    explained = [name for group in MEANINGS.values() for name in group]
    assert sorted(explained) == sorted(metrics())


def test_the_page_speaks_of_no_metric_that_is_not_there() -> None:
    spoken_of = {name for quoted in re.findall(r"`(carillon_[^`]*)`", PAGE) for name in series_in(quoted)}
    assert spoken_of - series() - set(metrics()) == set()
    assert len(spoken_of) >= len(metrics())


def test_every_variable_of_compose_is_explained() -> None:
    used = {name for file in COMPOSE_FILES for name in variables((ROOT / file).read_text())}
    assert [name for name in sorted(used) if f"`{name}" not in PAGE] == []


def test_every_port_on_the_host_is_in_the_table() -> None:
    published = {
        re.findall(r"(\d+)\}?:\d+$", str(port))[0]
        for file in COMPOSE_FILES
        for block in parsed(file)["services"].values()
        for port in block.get("ports", [])
    }
    assert len(published) == 7
    assert [port for port in published if f"| {port} |" not in PAGE] == []


def test_no_command_of_the_page_leaves_out_what_env_adds() -> None:
    # With -f Compose passes over COMPOSE_FILE, and so over TLS at the proxy.
    assert re.findall(r"docker compose -f[^`\n]*", PAGE) == []
    (named,) = set(re.findall(r"COMPOSE_FILE=([\w./:-]+)", PAGE))
    assert tuple(named.split(":")) == COMPOSE_FILES


def test_what_the_page_points_to_is_there() -> None:
    named = re.findall(r"`((?:deploy|docs|secrets|tools)/[^`\s]*|[\w-]+\.yml)`", PAGE)
    made_elsewhere = {"secrets/", "secrets/token_signing_key.pem", "docker-compose.override.yml"}
    assert [name for name in named if name not in made_elsewhere and not (ROOT / name).exists()] == []
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert [link for link in links if not (Path(ROOT / "docs") / link).exists()] == []
