"""`carillon demo` as a person runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from carillon.api import Api
from carillon.demo.catalogue import read_templates
from carillon.demo.publishing import publish_templates
from carillon.home import Home
from carillon.setup_error import SetupError
from tests.e2e.installation import STARTS_WITHIN_S, STOPS_WITHIN_S, Installation, eventually, free_offset


def environment(home: Path, offset: int) -> Mapping[str, str]:
    """Of a shell in which the demo is started."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARILLON_")}
    return inherited | {"CARILLON_HOME": str(home), "CARILLON_PORT_OFFSET": str(offset), "NO_COLOR": "1"}


def demo(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "carillon", "demo", *arguments],
        env=environment(installation.home, installation.offset),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_message_arrives_and_what_was_running_goes_on(installation: Installation) -> None:
    before = installation.pid("gateway")
    done = demo(installation, "--count", "40")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 of 40: every message arrived exactly once" in done.stdout
    assert f"Using the installation that runs in {installation.home}" in done.stdout
    assert installation.pid("gateway") == before
    assert httpx.get(f"{installation.url(8000)}/ready", trust_env=False).is_success


def test_a_demo_with_another_broker_is_refused_in_a_sentence(on_postgres: Installation) -> None:
    refused = demo(on_postgres, "--count", "40", "--broker", "rabbitmq")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "with another broker (PostgreSQL)" in refused.stderr


async def test_a_template_is_published_when_it_has_changed_and_only_then(on_postgres: Installation) -> None:
    templates = read_templates()
    [invoice] = [template for template in templates if template.code == "invoice"]
    french = replace(invoice.texts["fr"], subject="Votre facture {{ invoice_number }}")
    changed = replace(invoice, texts={**invoice.texts, "fr": french})
    api = Api(on_postgres.url(8000), on_postgres.api_key)
    await publish_templates(api, templates)
    assert await publish_templates(api, templates) == 0
    assert await publish_templates(api, [changed]) == 1
    assert await publish_templates(api, [changed]) == 0
    assert await publish_templates(api, templates) == 1
    await api.close()


async def test_somebodys_own_template_is_left_alone(on_postgres: Installation) -> None:
    code = on_postgres.template()
    api = Api(on_postgres.url(8000), on_postgres.api_key)
    with pytest.raises(SetupError, match=f"The template {code} that is here already is not the demo's"):
        await publish_templates(api, [replace(read_templates()[0], code=code)])
    await api.close()
    assert on_postgres.api.get(f"/templates/{code}/versions").json()["items"][0]["version"] == 1


@pytest.mark.slow
def test_ctrl_c_stops_what_the_demo_has_started(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    output = tmp_path / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "carillon", "demo", "--count", "20000"],
            env=environment(home.folder, free_offset()),
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(
            lambda: process.poll() or "new versions" in output.read_text(), bool, within_s=STARTS_WITHIN_S
        )
        assert process.poll() is None, output.read_text()
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) > 10
        process.send_signal(signal.SIGINT)
        assert process.wait(STOPS_WITHIN_S) == 130
        eventually(lambda: [each for each in started if each.is_running()], lambda left: not left, within_s=5)
        assert home.running_pid() is None
        assert not home.run_record.exists()
    finally:
        process.kill()
        home.remove()
