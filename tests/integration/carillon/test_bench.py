"""`carillon bench` for real, as small as it goes."""

import json
import os
import subprocess
import sys

import pytest

from carillon.services import SERVICES
from tests.servers import server_folder


@pytest.mark.slow
def test_a_small_run_accounts_for_every_mail_and_names_the_cost_of_every_process() -> None:
    options = ["--only", "end-to-end", "--broker", "postgres", "--count", "200", "--sink", "bundled"]
    with server_folder() as folder:
        file = folder / "report.json"
        done = subprocess.run(
            [sys.executable, "-m", "carillon", "bench", *options, "--json", str(file)],
            env=os.environ | {"TMPDIR": str(folder)},
            capture_output=True,
            check=False,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert [path.name for path in folder.iterdir()] == ["report.json"]
        report = json.loads(file.read_text())
    (run,) = report["end_to_end"]
    account = run["account"]
    assert (account["accepted"], account["arrived"], account["lost"], account["duplicates"]) == (
        200,
        200,
        0,
        0,
    )
    assert run["sent_per_s"] > 0
    assert run["to_sink"]["count"] == run["accept"]["count"] == 200
    expected = {"supervisor", "mailbox", "push_standin", *(service.name for service in SERVICES)}
    assert set(run["own"]) == expected
    assert set(run["cost"]) == expected | {"postgres", "redis", "sink"}
    assert run["own_cpu_ms"] > 0
    written, groups = run["storage"]["written"], run["storage"]["groups"]
    assert {"gateway_db", "email_db", "broker_db"} <= written.keys()
    assert written["email_db"]["tables"]["deliveries"] > 0
    assert groups["ledger.claim"]["count"] * groups["ledger.claim"]["size"] == pytest.approx(200)
    assert [rung["rung"] for rung in report["ladder"]] == ["bare", "ledger", "guaranteed"]
    assert all(rung["account"]["lost"] == rung["account"]["duplicates"] == 0 for rung in report["ladder"])
    assert [rung["commits"] > 0 for rung in report["ladder"]] == [False, True, True]
    assert set(report["guarantees"]) >= {"mail_ms", "ledger_ms", "outbox_ms"}
    assert run["cost"]["gateway"]["memory_mb"] > 10
