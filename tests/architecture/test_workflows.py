"""The pipeline says what is true, calls what exists, and may do no more than it needs."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
SCRIPTS = sorted((GITHUB / "scripts").glob("*"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

MAY_WRITE = {
    ("release.yml", "image"): {"packages", "id-token", "attestations"},
    ("release.yml", "notes"): {"contents"},
}
"""Every other job reads, and reads only the repository."""


def loaded(path: Path) -> dict[Any, Any]:
    """A file of YAML. YAML 1.1 takes the key `on` for true."""
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    document["on"] = document.pop(True, None)
    return document


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Every job with its file and name."""
    for path in WORKFLOWS:
        for name, job in loaded(path)["jobs"].items():
            yield path, name, job


def steps() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every step with its file, those of our own actions included."""
    for path, _, job in jobs():
        yield from ((path, step) for step in job.get("steps", []))
    for path in ACTIONS:
        yield from ((path, step) for step in loaded(path)["runs"]["steps"])


def commands() -> str:
    """Everything that is run."""
    return "\n".join(step["run"] for _, step in steps() if "run" in step)


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-actions", ACTIONS),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
    ],
)
def test_every_file_is_of_its_schema(schema: str, paths: list[Path]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert paths
    assert done.returncode == 0, done.stdout + done.stderr


def test_foreign_actions_are_pinned_by_hash_with_their_version_beside() -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS):
        for line in re.findall(r"^\s*(?:- )?uses: (.+)$", path.read_text(), re.MULTILINE):
            if line.startswith("./"):
                found = ROOT / line
                assert (found / "action.yml").exists() or found.is_file(), line
                continue
            match = re.fullmatch(r"([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", line)
            assert match, f"{path.name}: {line}"
            pins.setdefault(match[1], set()).add(match[2])
    assert {action for action, hashes in pins.items() if len(hashes) > 1} == set()


def test_every_workflow_starts_with_reading_alone_and_minds_its_neighbours() -> None:
    for path in WORKFLOWS:
        workflow = loaded(path)
        assert workflow["permissions"] == {"contents": "read"}, path.name
        assert workflow["concurrency"]["group"], path.name


def test_only_the_jobs_that_publish_may_write() -> None:
    writing = {}
    for path, name, job in jobs():
        allowed = {scope for scope, right in job.get("permissions", {}).items() if right == "write"}
        if allowed:
            writing[path.name, name] = allowed
    assert writing == MAY_WRITE


def test_every_job_ends_in_time() -> None:
    # A job that calls a workflow has none of its own; the jobs of that workflow have.
    endless = [
        f"{path.name}: {name}" for path, name, job in jobs() if not {"timeout-minutes", "uses"} & set(job)
    ]
    assert endless == []


def test_no_checkout_leaves_a_token_behind() -> None:
    for path, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, path.name


def test_what_is_typed_in_by_people_reaches_the_shell_as_variables_alone() -> None:
    assert [step["run"] for _, step in steps() if "${{" in step.get("run", "")] == []


def test_every_make_target_and_script_that_is_called_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = set(re.findall(r"^\s*make ([a-z]+)", commands(), re.MULTILINE))
    assert called >= {"check", "test", "venv"}
    assert called - targets == set()
    scripts = {ROOT / name for name in re.findall(r"(?<![\w^])\.github/scripts/[\w.]+", commands())}
    assert scripts == set(SCRIPTS)
    assert all(script.stat().st_mode & 0o100 for script in scripts)


def test_it_is_tested_on_every_python_that_is_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (matrix,) = (job["strategy"]["matrix"]["python"] for _, name, job in jobs() if name == "test")
    assert matrix == PYTHONS
    assert project["requires-python"] == f">={PYTHONS[0]}"


def test_the_servers_of_the_pipeline_are_those_that_the_tests_ask_for() -> None:
    asked = set(re.findall(r"CARILLON_TEST_[A-Z0-9_]*[A-Z0-9]", (ROOT / "tests/servers.py").read_text()))
    asked |= set(re.findall(r"CARILLON_TEST_[A-Z0-9_]*[A-Z0-9]", (ROOT / "tests/conftest.py").read_text()))
    (job,) = (job for _, name, job in jobs() if name == "test")
    assert {name for name in job["env"] if name.startswith("CARILLON_TEST_")} == asked
    published = {port.split(":")[0] for server in job["services"].values() for port in server["ports"]}
    for url in job["env"].values():
        assert re.search(r":(\d+)/", url)[1] in published  # type: ignore[index]


def test_deploying_is_started_by_hand_and_guarded_by_an_environment() -> None:
    deploy = loaded(GITHUB / "workflows/deploy.yml")
    assert set(deploy["on"]) == {"workflow_dispatch"}
    assert deploy["concurrency"]["cancel-in-progress"] is False
    for job in deploy["jobs"].values():
        assert job["environment"] == "${{ inputs.environment }}"


def test_a_release_has_passed_everything_first() -> None:
    release = loaded(GITHUB / "workflows/release.yml")["jobs"]
    (checked,) = (name for name, job in release.items() if job.get("uses") == "./.github/workflows/ci.yml")
    assert release["image"]["needs"] == checked
    assert release["notes"]["needs"] == "image"


def test_release_notes_are_what_the_change_log_says_of_a_version() -> None:
    script = GITHUB / "scripts/release_notes.sh"
    there = subprocess.run([script, "Unreleased"], capture_output=True, text=True, check=True)
    absent = subprocess.run([script, "99.0.0"], capture_output=True, text=True, check=False)
    assert there.stdout.strip()
    assert "## [" not in there.stdout
    assert (absent.returncode, absent.stdout) == (1, "")
