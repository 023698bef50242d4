"""A version that does not get healthy is taken back; with a Docker that does as the test says."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

SCRIPT = ROOT / ".github/scripts/roll_out.sh"

# Notes what it is asked for, and fails to start, or to get ready, the images that it is told to.
DOCKER = """#!/bin/sh
echo "$CARILLON_IMAGE $*" >> "$FAKE/asked"
test -f .env || exit 9
. ./.env
for file in $(echo "$COMPOSE_FILE" | tr : ' '); do test -f "$file" || exit 8; done
case "$2" in
  up) case " $BROKEN " in *" $CARILLON_IMAGE "*) exit 1 ;; esac; echo "$CARILLON_IMAGE" > "$FAKE/running" ;;
  port) echo 0.0.0.0:8000 ;;
esac
"""
CURL = """#!/bin/sh
for url; do :; done
echo "$url" >> "$FAKE/urls"
case " $UNREADY " in *" $(cat "$FAKE/running") "*) exit 22 ;; esac
"""


@dataclass
class Host:
    """A machine that versions are uploaded to."""

    folder: Path

    def upload(self, version: str) -> None:
        """What the pipeline does before it calls the script."""
        release = self.folder / "releases" / version
        release.mkdir(parents=True)
        (release / "image").write_text(f"carillon:{version}\n")
        shutil.copy(ROOT / "docker-compose.yml", release)
        shutil.copytree(ROOT / "deploy", release / "deploy")
        shutil.copy(SCRIPT, release)

    def roll_out(self, version: str, **trouble: str) -> subprocess.CompletedProcess[str]:
        """Call the script as the pipeline does."""
        return subprocess.run(
            [self.folder / "releases" / version / "roll_out.sh", version],
            env=os.environ
            | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "FAKE": str(self.folder)}
            | {"ROLL_OUT_WAIT_S": "0", "BROKEN": "", "UNREADY": ""}
            | trouble,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def running(self) -> str:
        """The image that was started last."""
        return (self.folder / "running").read_text().strip()

    @property
    def current(self) -> str:
        """The release that counts."""
        return (self.folder / "current").readlink().name


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "bin").mkdir()
    for name, text in (("docker", DOCKER), ("curl", CURL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / ".env").write_text("SECRET=kept\n")
    return Host(tmp_path)


def test_a_healthy_version_becomes_the_running_one(host: Host) -> None:
    for version in ("1.0.0", "1.1.0"):
        host.upload(version)
        done = host.roll_out(version)
        assert done.returncode == 0, done.stderr
        assert (host.running, host.current) == (f"carillon:{version}", version)
    assert (host.folder / "urls").read_text().splitlines() == ["http://127.0.0.1:8000/ready"] * 2


@pytest.mark.parametrize("trouble", ["BROKEN", "UNREADY"])
def test_a_version_that_does_not_get_healthy_is_taken_back(host: Host, trouble: str) -> None:
    host.upload("1.0.0")
    host.roll_out("1.0.0")
    host.upload("1.1.0")

    done = host.roll_out("1.1.0", **{trouble: "carillon:1.1.0"})

    assert done.returncode == 1
    assert "Back on 1.0.0." in done.stderr
    assert (host.running, host.current) == ("carillon:1.0.0", "1.0.0")


def test_where_going_back_fails_it_says_so(host: Host) -> None:
    host.upload("1.0.0")
    host.roll_out("1.0.0")
    host.upload("1.1.0")
    done = host.roll_out("1.1.0", UNREADY="carillon:1.1.0 carillon:1.0.0")
    assert done.returncode == 1
    assert "Going back to 1.0.0 failed, too." in done.stderr


def test_a_first_version_has_nothing_to_go_back_to(host: Host) -> None:
    host.upload("1.0.0")
    done = host.roll_out("1.0.0", BROKEN="carillon:1.0.0")
    assert done.returncode == 1
    assert "no version before it" in done.stderr
    assert not (host.folder / "current").exists()


def test_a_roll_out_keeps_to_the_compose_files_that_env_names(host: Host) -> None:
    files = "docker-compose.yml:deploy/tls.yml:docker-compose.override.yml"
    (host.folder / ".env").write_text(f"COMPOSE_FILE={files}\n")
    (host.folder / "docker-compose.override.yml").write_text("services: {}\n")
    host.upload("1.0.0")
    done = host.roll_out("1.0.0")
    assert done.returncode == 0, done.stderr
    asked = (host.folder / "asked").read_text().split()
    # Each of these would have Compose pass over what stands in .env.
    assert {"-f", "--file", "--env-file", "--project-directory", "--scale"} & set(asked) == set()


def test_without_secrets_nothing_is_started(host: Host) -> None:
    (host.folder / ".env").unlink()
    host.upload("1.0.0")
    assert host.roll_out("1.0.0").returncode == 2
    assert not (host.folder / "asked").exists()


def test_old_releases_go_and_the_running_one_stays(host: Host) -> None:
    for number in range(8):
        host.upload(f"1.{number}.0")
        assert host.roll_out(f"1.{number}.0").returncode == 0
    kept = {path.name for path in (host.folder / "releases").iterdir()}
    assert kept == {f"1.{number}.0" for number in range(3, 8)}
