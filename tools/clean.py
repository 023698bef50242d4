"""`make clean`: remove this installation's data and secrets, and caches. Needs no .venv."""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from carillon.home import Home  # noqa: E402 -- found only after the line above

_CACHES = (".mypy_cache", ".pytest_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", "build")


def main() -> int:
    """Refuses while Carillon runs."""
    home = Home()
    pid = home.running_pid()
    if pid is not None:
        print(f"Carillon is running here, as process {pid}: stop it first.", file=sys.stderr)
        return 2
    home.remove()
    if home.folder.exists():
        print(f"{home.folder} cannot be removed: check who owns it.", file=sys.stderr)
        return 2
    for name in _CACHES:
        shutil.rmtree(ROOT / name, ignore_errors=True)
    for folder in ROOT.glob("[!.]*/**/__pycache__"):
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Removed {home.folder} with all data, and the caches.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
