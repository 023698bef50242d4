"""The state folder: private, exclusive, never half written."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from carillon.home import CHECKOUT, Home
from carillon.keys import admin_login, secret_files
from carillon.setup_error import SetupError

HOLD = (
    "import sys; from pathlib import Path; from carillon.home import Home\n"
    "home = Home(Path(sys.argv[1])); home.open(); home.take(); print('taken', flush=True); sys.stdin.read()"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "state")
    made.open()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def hold(home: Home) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.folder)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "taken\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()


def test_nobody_else_can_look_into_it(home: Home) -> None:
    secret_files(home, push_standin_url="http://127.0.0.1:8026")
    assert mode(home.folder) == 0o700
    for path in home.secret_path("x").parent.iterdir():
        assert mode(path) == 0o600, path.name


def test_a_secret_stays_the_same_over_starts(home: Home) -> None:
    first = secret_files(home, push_standin_url="http://127.0.0.1:8026")
    password = admin_login(home).password
    again = Home(home.folder)
    again.open()
    assert secret_files(again, push_standin_url="http://127.0.0.1:9026") == first
    assert admin_login(again).password == password


def test_a_second_one_is_told_who_has_it(home: Home) -> None:
    holder = hold(home)
    try:
        with pytest.raises(SetupError, match=rf"process {holder.pid}\b"):
            home.take()
        assert home.running_pid() == holder.pid
    finally:
        end(holder)


def test_the_lock_of_a_killed_process_is_taken_over(home: Home) -> None:
    end(hold(home))
    assert home.running_pid() is None
    home.take()
    assert (home.folder / "lock").read_text() == f"{os.getpid()}\n"
    home.release()


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match=r"cannot be written.*CARILLON_HOME"):
        Home(tmp_path / "file" / "state").open()


def test_an_unreadable_folder_is_made_private_again(home: Home) -> None:
    home.folder.chmod(0o755)
    home.open()
    assert mode(home.folder) == 0o700
