"""What `docker compose` needs of whoever runs it: `.env`, and the files with keys beside it.

Both are made once and never changed afterwards: a password that PostgreSQL has been set up with cannot simply
become another one, and a signing key that goes logs everybody out.
"""

import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carillon.keys import make_signing_key
from carillon.push_standin.service_account import make_private_key, service_account_json
from carillon.setup_error import SetupError

ENVIRONMENT_FILE = ".env"
SECRETS_FOLDER = "secrets"
_PUSH_STANDIN = "http://push_standin:8026"
_ASSIGNMENT = re.compile(
    r"^(?P<start>[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=)(?P<value>.*)$", re.MULTILINE
)
_HEADER = """\
# Made by `make env`, for `docker compose`. Keep it to yourself, and a copy of it with your back-ups.
# Every setting that can stand here is in docs/operations.md.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A variable of `.env`; `comment` stands above it, `make` gives the value of a new installation.

    Empty is as good as missing, as it is for Compose, but where `may_be_empty`.
    """

    name: str
    comment: str
    make: Callable[[], str]
    may_be_empty: bool = False


def _secret() -> str:
    # Letters, digits, - and _: it stands in URLs as it is.
    return secrets.token_urlsafe(32)


ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="COMPOSE_PROFILES",
        comment="dev: Mailpit and the push stand-in catch everything. Without it nothing is caught:\n"
        "set your mail server and Firebase below first.",
        make=lambda: "dev,monitoring",
        may_be_empty=True,
    ),
    Entry(
        name="CARILLON_SERVICE_SECRET",
        comment="Signs the tokens with which services call each other.",
        make=_secret,
    ),
    Entry(
        name="POSTGRES_PASSWORD",
        comment="Taken over by PostgreSQL and RabbitMQ at their first start; to change one later, change it\n"
        "there first.",
        make=_secret,
    ),
    Entry(name="RABBITMQ_PASSWORD", comment="", make=_secret),
    Entry(name="REDIS_PASSWORD", comment="", make=_secret),
    Entry(
        name="GRAFANA_PASSWORD",
        comment="Of the user `admin` at http://localhost:3000.",
        make=_secret,
    ),
    Entry(
        name="CARILLON_EMAIL_FROM",
        comment="The sender of every mail: an address that your mail server may send for.",
        make=lambda: "'Carillon <no-reply@carillon.example>'",
    ),
    Entry(
        name="CARILLON_SMTP_HOST",
        comment="Your mail server; with it CARILLON_SMTP_USERNAME, CARILLON_SMTP_PASSWORD and\n"
        "CARILLON_SMTP_TLS=starttls or tls. Mailpit catches everything.",
        make=lambda: "mailpit",
    ),
    Entry(name="CARILLON_SMTP_PORT", comment="", make=lambda: "1025"),
    Entry(
        name="CARILLON_FCM_URL",
        comment="The push stand-in. For Firebase: empty, and CARILLON_FCM_CREDENTIALS names the file\n"
        "with your project's service account.",
        make=lambda: _PUSH_STANDIN,
        may_be_empty=True,
    ),
)

_FILES: dict[str, Callable[[], str]] = {
    "token_signing_key.pem": make_signing_key,
    "fcm_credentials.json": lambda: service_account_json(
        private_key=make_private_key(), base_url=_PUSH_STANDIN
    ),
}


def prepare_deployment(folder: Path) -> list[str]:
    """Make in `folder` what is not there yet; the names of what was made, variables and files. Raises
    SetupError where it cannot be written."""
    try:
        # Where .env is a link, it stays one: what it points to is written.
        variables = _write_variables((folder / ENVIRONMENT_FILE).resolve())
        return variables + _write_files(folder / SECRETS_FOLDER)
    except OSError as error:
        raise SetupError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error


def _write_variables(path: Path) -> list[str]:
    known = path.read_text() if path.exists() else ""
    # Of two assignments the last one counts.
    values = {match["name"]: match["value"].strip() for match in _ASSIGNMENT.finditer(known)}
    missing = [
        entry
        for entry in ENTRIES
        if entry.name not in values or (_is_empty(values[entry.name]) and not entry.may_be_empty)
    ]
    if missing:
        text = known or _HEADER
        for entry in missing:
            text = _filled(text, entry) if entry.name in values else text.rstrip("\n") + "\n" + _lines(entry)
        # Beside it and then in its place: an .env that was half written would start with half the secrets.
        _write(path, text, mode=0o600)
    path.chmod(0o600)
    return [entry.name for entry in missing]


def _is_empty(value: str) -> bool:
    return value in ("", "''", '""')


def _filled(text: str, entry: Entry) -> str:
    """`text` with the last assignment of the variable made anew."""
    last = [match for match in _ASSIGNMENT.finditer(text) if match["name"] == entry.name][-1]
    return f"{text[: last.start('value')]}{entry.make()}{text[last.end() :]}"


def _write_files(folder: Path) -> list[str]:
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    made = []
    for name, make in _FILES.items():
        if not (folder / name).exists():
            # Compose mounts the file itself, with its owner of this machine: the containers' own account has
            # to be able to read it there. Here the folder keeps everybody else out.
            _write(folder / name, make(), mode=0o444)
            made.append(f"{folder.name}/{name}")
    return made


def _lines(entry: Entry) -> str:
    comment = "".join(f"# {line}\n" for line in entry.comment.splitlines())
    return f"{chr(10) if comment else ''}{comment}{entry.name}={entry.make()}\n"


def _write(path: Path, text: str, *, mode: int) -> None:
    # A name that .gitignore knows.
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as sink:
        sink.write(text)
        sink.flush()
        os.fsync(sink.fileno())
    unfinished.chmod(mode)
    unfinished.replace(path)
