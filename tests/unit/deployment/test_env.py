"""`make env` makes what is missing, and touches nothing else."""

from pathlib import Path

import pytest

from carillon.deployment import ENTRIES, ENVIRONMENT_FILE, prepare_deployment
from carillon.setup_error import SetupError
from tests.architecture.compose import read_env
from tests.architecture.source import ROOT


def test_what_is_there_is_never_overwritten_and_what_is_new_is_added(tmp_path: Path) -> None:
    (tmp_path / ENVIRONMENT_FILE).write_text("POSTGRES_PASSWORD=mine\nOTHER=1\n")
    assert "POSTGRES_PASSWORD" not in prepare_deployment(tmp_path)
    files_before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = read_env(tmp_path / ENVIRONMENT_FILE)
    assert (kept["POSTGRES_PASSWORD"], kept["OTHER"]) == ("mine", "1")
    assert prepare_deployment(tmp_path) == []
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files_before


def test_nobody_else_on_the_machine_can_read_what_make_env_makes(tmp_path: Path) -> None:
    prepare_deployment(tmp_path)
    assert (tmp_path / ENVIRONMENT_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    # The containers' own account reads them through the mount of the file itself.
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    values = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        prepare_deployment(tmp_path / name)
        made = read_env(tmp_path / name / ENVIRONMENT_FILE)
        values.append({made[key] for key in made if key.endswith(("SECRET", "PASSWORD"))})
        values[-1] |= {path.read_text() for path in (tmp_path / name / "secrets").iterdir()}
    assert values[0] & values[1] == set()


@pytest.mark.parametrize("empty", ["", "''", '""', "  "])
def test_what_compose_would_refuse_for_being_empty_is_made_where_it_stands(
    tmp_path: Path, empty: str
) -> None:
    names = ["OTHER", *(entry.name for entry in ENTRIES), "LAST"]
    (tmp_path / ENVIRONMENT_FILE).write_text("".join(f"{name}={empty}\n" for name in names))
    made = prepare_deployment(tmp_path)
    lines = (tmp_path / ENVIRONMENT_FILE).read_text().splitlines()
    for entry in ENTRIES:
        assert (entry.name in made) is not entry.may_be_empty
        assert (f"{entry.name}={empty}" in lines) is entry.may_be_empty
    assert [line.partition("=")[0] for line in lines if "=" in line] == names


def test_of_two_assignments_the_last_one_counts(tmp_path: Path) -> None:
    (tmp_path / ENVIRONMENT_FILE).write_text("REDIS_PASSWORD=\nREDIS_PASSWORD=mine\n")
    assert "REDIS_PASSWORD" not in prepare_deployment(tmp_path)
    (tmp_path / ENVIRONMENT_FILE).write_text("REDIS_PASSWORD=mine\nREDIS_PASSWORD=\n")
    assert "REDIS_PASSWORD" in prepare_deployment(tmp_path)
    assert len(read_env(tmp_path / ENVIRONMENT_FILE)["REDIS_PASSWORD"]) > 30


def test_a_link_stays_a_link_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / ENVIRONMENT_FILE).write_text("POSTGRES_PASSWORD=mine\n")
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / ENVIRONMENT_FILE).symlink_to(Path("../real") / ENVIRONMENT_FILE)
    prepare_deployment(tmp_path / "release")
    assert (tmp_path / "release" / ENVIRONMENT_FILE).is_symlink()
    written = read_env(tmp_path / "real" / ENVIRONMENT_FILE)
    assert written["POSTGRES_PASSWORD"] == "mine"
    assert set(written) == {entry.name for entry in ENTRIES}


def test_git_takes_neither_what_is_made_nor_what_an_interrupted_run_leaves(tmp_path: Path) -> None:
    (tmp_path / ".env.unfinished").mkdir()
    with pytest.raises(SetupError, match=r"/\.env\.unfinished cannot be written"):
        prepare_deployment(tmp_path)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.env*", "/secrets/"} <= set(ignored)
