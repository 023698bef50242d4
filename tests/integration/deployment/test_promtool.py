"""Prometheus takes the configuration, and each alert fires when it should and at no other time."""

import os
import shutil
from pathlib import Path

import pytest

from carillon.setup_error import SetupError
from tests.architecture.source import ROOT
from tests.promtool import Promtool

FOLDER = ROOT / "deploy/prometheus"
TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def promtool_for(folder: Path) -> Promtool:
    """Skip loudly; on CI nothing is skipped."""
    try:
        return Promtool(folder)
    except SetupError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"No alert was tried: {error}")


@pytest.fixture(scope="module")
def promtool() -> Promtool:
    """On the files that Compose mounts."""
    return promtool_for(FOLDER)


def test_prometheus_takes_the_configuration_and_its_rules(promtool: Promtool) -> None:
    checked = promtool.run("check", "config", FOLDER / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_should_and_at_no_other_time(promtool: Promtool, file: Path) -> None:
    tried = promtool.run("test", "rules", file)
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_an_alert_that_fires_too_easily_would_be_found(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    tmp_path.chmod(0o755)
    rules = tmp_path / "alerts.yml"
    rules.write_text(rules.read_text().replace("> 50", "> 5"))
    tried = promtool_for(tmp_path).run("test", "rules", tmp_path / "tests/providers.yml")
    assert tried.returncode != 0
    assert "RetryRate" in tried.stdout + tried.stderr
