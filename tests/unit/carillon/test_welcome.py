"""What `carillon up` prints for a newcomer."""

import subprocess

from carillon.home import CHECKOUT
from carillon.onboarding import FirstCredentials
from carillon.welcome import welcome_text

TEXT = welcome_text(
    addresses={
        "gateway": "http://127.0.0.1:8000",
        "mailbox": "http://127.0.0.1:8025",
        "push_standin": "http://127.0.0.1:8026",
    },
    credentials=FirstCredentials(email="admin@example.com", password="a-b", api_key="ck_live_x"),
)


def test_the_credentials_stand_on_lines_of_their_own() -> None:
    lines = TEXT.splitlines()
    assert "CARILLON_ADMIN=admin@example.com:a-b" in lines
    assert "CARILLON_API_KEY=ck_live_x" in lines


def test_each_notification_has_a_key_that_is_new_with_each_recipient() -> None:
    """Pasted twice, the second notification is another one, and not a 422 for a reused key."""
    for text in (TEXT, (CHECKOUT / "README.md").read_text().replace("\\\n", " ")):
        sent = [line for line in text.splitlines() if line.startswith("ID=$(curl")]
        assert sent
        assert all('-H "Idempotency-Key: first-' in line and '$USER_ID" ' in line for line in sent)


def test_the_commands_are_shell_that_can_be_pasted() -> None:
    commands = [
        line
        for line in TEXT.splitlines()
        if line.startswith(("API=", "AUTH=", "JSON=", "USER_ID=", "ID=", "curl", "sleep"))
    ]
    assert len(commands) > 10
    done = subprocess.run(
        ["sh", "-n"], input="\n".join(commands), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
