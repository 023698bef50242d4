"""A disk that can be filled up, and that is gone afterwards whatever happens."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.embedded.account import Account, account_for, identity
from carillon.home import CHECKOUT
from carillon.prove.small_disk import SmallDisk, available, small_disk
from carillon.setup_error import SetupError
from tests.servers import server_folder

SIZE = 1 << 20

KILLED_WITH_A_DISK = """
import os, signal, sys
from pathlib import Path
from carillon.prove.small_disk import small_disk
with small_disk(Path(sys.argv[1]), size=1 << 20):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module", autouse=True)
def mountable() -> None:
    """Skips where there can be none."""
    if why_not := available():
        pytest.skip(why_not)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Ours."""
    with small_disk(tmp_path, size=SIZE) as disk:
        yield disk


def test_no_byte_is_left_and_all_are_given_back(disk: SmallDisk) -> None:
    before = disk.free_bytes
    assert 0 < before <= SIZE

    with disk.filled():
        assert disk.free_bytes == 0
        with pytest.raises(OSError, match="No space left") as full:
            (disk.folder / "new").write_bytes(b"x")
        assert full.value.errno == errno.ENOSPC
        (disk.folder / "new").unlink()

    assert disk.free_bytes == before
    (disk.folder / "new").write_bytes(b"x")


def test_what_becomes_free_meanwhile_is_taken_too(disk: SmallDisk) -> None:
    (disk.folder / "old").write_bytes(bytes(1 << 16))
    disk.fill()
    (disk.folder / "old").unlink()
    assert disk.free_bytes == 1 << 16
    assert disk.fill() == 1 << 16
    assert disk.free_bytes == 0


def test_it_is_its_accounts_alone() -> None:
    account, other = account_for("postgres", "nobody"), account_for("daemon", "bin")
    assert account is not None
    assert other is not None
    with server_folder() as folder, small_disk(folder, size=SIZE, account=account) as disk:
        assert may_write(disk.folder / "file", account)
        assert not may_write(disk.folder / "other", other)
        with disk.filled():
            assert not may_write(disk.folder / "more", account)
        assert may_write(disk.folder / "more", account)


def may_write(path: Path, account: Account) -> bool:
    """Whether the account can write a word into a file."""
    command = ["/bin/sh", "-c", 'echo word > "$1"', "sh", str(path)]
    return subprocess.run(command, check=False, capture_output=True, **identity(account)).returncode == 0


def test_it_is_unmounted_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), small_disk(tmp_path, size=SIZE) as disk:
        disk.fill()
        raise RuntimeError
    assert not os.path.ismount(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_is_taken_from_whoever_still_uses_it(tmp_path: Path) -> None:
    with small_disk(tmp_path, size=SIZE) as disk:
        still_open = (disk.folder / "file").open("w")
    with still_open:
        assert not os.path.ismount(tmp_path)


def test_a_kill_leaves_no_disk_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WITH_A_DISK, str(tmp_path)], cwd=CHECKOUT, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while os.path.ismount(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_folder_with_something_in_it_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="not empty"), small_disk(tmp_path, size=SIZE):
        pass
    assert not os.path.ismount(tmp_path)
