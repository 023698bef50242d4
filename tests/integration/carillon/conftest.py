"""An API of failures over real HTTP, that the environment names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.failed import FakeFailed, serving
from tests.fakes.failures import OTHER_CAUSE, aged


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeFailed]:
    """The server."""
    with serving(FakeFailed()) as state:
        yield state


@pytest.fixture
def api(fake: FakeFailed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeFailed:
    """Five failures of two causes; the environment names it, and a key."""
    fake.forget()
    fake.failures = [aged(9 - n) for n in range(3)] + [
        aged(3 - n, cause=OTHER_CAUSE, error_type="template.variable_missing", provider=None)
        for n in range(2)
    ]
    monkeypatch.setenv("CARILLON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARILLON_URL", f"{fake.url}/api/v1/")
    monkeypatch.setenv("CARILLON_API_KEY", "ck_live_x")
    return fake
