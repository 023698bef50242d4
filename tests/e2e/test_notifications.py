"""One notification after another through the whole system, over real protocols."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.installation import Installation, eventually


def test_a_mail_is_accepted_sent_and_accounted_for(installation: Installation) -> None:
    address = f"{uuid4().hex}@example.com"
    user_id = installation.recipient(name="Zoë Ångström", email=address)
    code = installation.template(subject="Grüße, {{ name }}", body="<h1>Hallo {{ name }}</h1>")
    answer = installation.api.post(
        "/notifications",
        json={
            "user_id": user_id,
            "notification_type": "email",
            "template_code": code,
            "variables": {"name": "Zoë <b>"},
        },
        headers={"X-Correlation-ID": "order-4711"},
    )

    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/notifications/{answer.json()['id']}")
    assert answer.headers["X-Correlation-ID"] == "order-4711"
    found = installation.wait_for(answer.json()["id"])
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["accepted"]
    statuses = [entry["status"] for entry in found["timeline"]]
    assert (statuses[0], statuses[-1]) == ("accepted", "sent")
    assert found["correlation_id"] == "order-4711"
    (mail,) = installation.mails_to(address)
    assert mail["Subject"] == "Grüße, Zoë <b>"
    assert mail["To"] == [{"Name": "Zoë Ångström", "Address": address}]
    whole = httpx.get(f"{installation.url(8025)}/api/v1/message/{mail['ID']}").json()
    assert "<h1>Hallo Zoë &lt;b&gt;</h1>" in whole["HTML"]
    assert "Hallo Zoë <b>" in whole["Text"]
    assert "order-4711" in installation.log()


def test_a_push_message_goes_to_every_device(installation: Installation) -> None:
    user_id = installation.recipient()
    tokens = {f"phone-{uuid4().hex}", f"tablet-{uuid4().hex}"}
    for token in tokens:
        installation.post(f"/users/{user_id}/devices", {"platform": "android", "token": token})
    code = installation.template(notification_type="push", subject="Hi {{ name }}", body="Hello {{ name }}")

    found = installation.wait_for(installation.notify(user_id, code, notification_type="push"))

    eventually(
        lambda: installation.notification(found["id"])["attempts"],
        lambda attempts: [attempt["outcome"] for attempt in attempts] == ["accepted", "accepted"],
        within_s=10,
    )
    received = httpx.get(f"{installation.url(8026)}/api/v1/messages", params={"limit": 100}).json()[
        "messages"
    ]
    assert {message["token"] for message in received if message["token"] in tokens} == tokens


def test_the_same_key_two_hundred_times_at_once_sends_one_mail(installation: Installation) -> None:
    address = f"{uuid4().hex}@example.com"
    user_id = installation.recipient(email=address)
    code = installation.template()
    body = {
        "user_id": user_id,
        "notification_type": "email",
        "template_code": code,
        "variables": {"name": "Ann"},
    }
    key = uuid4().hex

    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(
                lambda _: installation.api.post(
                    "/notifications", json=body, headers={"Idempotency-Key": key}
                ),
                range(200),
            )
        )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    installation.wait_for(answers[0].json()["id"])
    assert len(installation.mails_to(address)) == 1
    listed = installation.api.get("/notifications", params={"user_id": user_id}).json()["items"]
    assert len(listed) == 1


def test_a_batch_of_a_thousand_with_five_bad_entries_sends_the_others(installation: Installation) -> None:
    code = installation.template()
    domain = f"{uuid4().hex}.example.com"
    people = [installation.recipient(email=f"p{place}@{domain}") for place in range(20)]
    entries: list[dict[str, object]] = [
        {
            "user_id": people[number % len(people)],
            "notification_type": "email",
            "template_code": code,
            "variables": {"name": f"P{number}"},
        }
        for number in range(1000)
    ]
    entries[3] |= {"template_code": "nobody-knows-it"}
    entries[100] |= {"user_id": str(uuid4())}
    entries[500] |= {"variables": {}}
    entries[501] |= {"prioritty": 3}
    entries[999] |= {"priority": 11}

    installation.empty_mailbox()
    answer = installation.post("/notifications/batch", {"notifications": entries})

    assert (answer["accepted"], answer["rejected"]) == (995, 5)
    assert [result["index"] for result in answer["results"]] == list(range(1000))
    refused = {result["index"]: result["error"] for result in answer["results"] if "error" in result}
    assert sorted(refused) == [3, 100, 500, 501, 999]
    fields = {index: [error["field"] for error in problem["errors"]] for index, problem in refused.items()}
    assert "template_code" in fields[3]
    assert "user_id" in fields[100]
    assert any("name" in field for field in fields[500])
    assert "prioritty" in fields[501]
    assert "priority" in fields[999]
    # One number is asked for first: to read all mails takes longer than to send some.
    eventually(lambda: mailbox(installation, limit=1)["total"], lambda total: total >= 995, within_s=60)
    mails = eventually(
        lambda: [mail for mail in all_mails(installation) if mail["To"][0]["Address"].endswith(domain)],
        lambda mails: len(mails) >= 995,
        within_s=60,
    )
    assert len(mails) == len({mail["MessageID"] for mail in mails}) == 995
    assert sorted((mail["Subject"], mail["To"][0]["Address"]) for mail in mails) == sorted(
        (f"Hello P{number}", f"p{number % len(people)}@{domain}")
        for number in range(1000)
        if number not in refused
    )


def all_mails(installation: Installation) -> list[dict[str, Any]]:
    """Whoever they are for."""
    first = mailbox(installation, limit=500)
    starts = range(500, first["total"], 500)
    rest = [mailbox(installation, start=start, limit=500)["messages"] for start in starts]
    return [mail for page in (first["messages"], *rest) for mail in page]


def mailbox(installation: Installation, **query: int) -> dict[str, Any]:
    """A page of it; a busy machine takes its time."""
    answer = httpx.get(f"{installation.url(8025)}/api/v1/messages", params=query, timeout=30)
    return dict(answer.json())


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("curl") is None, reason="needs curl and jq")
def test_what_the_pipeline_sends_to_try_an_installation_arrives(on_postgres: Installation) -> None:
    script = Path(__file__).parents[2] / ".github/scripts/first_notification.sh"
    urls = {"CARILLON_URL": on_postgres.url(8000), "MAILBOX_URL": on_postgres.url(8025)}
    done = subprocess.run(
        [script, ":".join(on_postgres.admin)],
        env=os.environ | urls,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("is sent; 1 in the mailbox.\n")


def test_a_test_key_sends_nothing(on_postgres: Installation) -> None:
    address = f"{uuid4().hex}@example.com"
    user_id, code = on_postgres.recipient(email=address), on_postgres.template()
    email, password = on_postgres.admin
    token = httpx.post(
        f"{on_postgres.url(8000)}/api/v1/auth/token", data={"username": email, "password": password}
    ).json()["access_token"]
    made = on_postgres.api.post(
        "/api-keys",
        json={"name": "ci", "kind": "test", "scopes": ["notifications:send", "notifications:read"]},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    assert secret.startswith("ck_test_")

    sent = on_postgres.api.post(
        "/notifications",
        json={
            "user_id": user_id,
            "notification_type": "email",
            "template_code": code,
            "variables": {"name": "Ann"},
        },
        headers={"Authorization": f"Bearer {secret}"},
    )

    found = on_postgres.wait_for(sent.json()["id"])
    assert found["test"] is True
    assert on_postgres.mails_to(address) == []
