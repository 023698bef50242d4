"""Every enhanced status code and what it leads to: a table."""

import pytest

from email_service.providers.smtp.exchange import Reply, Stage
from email_service.providers.smtp.statuses import ABOUT
from email_service.providers.smtp.verdict import judge_reply
from shared.delivery.outcomes import Accepted, Rejected, Retryable, Throttled

# What 4yz and 5yz at RCPT TO and 5yz after the message lead to; a "!" ends what is never tried again, a "~"
# what is tried again and says nothing of the server.
BY_STAGE = ("address.deferred~", "address.refused!", "message.refused!")
RECIPIENT = ("address.deferred~", "address.refused!", "address.refused!")
MESSAGE = ("message.deferred~", "message.refused!", "message.refused!")
SIZE = ("message.deferred~", "message.too_large!", "message.too_large!")
LETTERS = ("message.deferred~", "address.unsupported!", "address.unsupported!")
US = ("provider.misconfigured",) * 3
SERVER = ("provider.unavailable",) * 3
RATE = ("provider.throttled",) * 3

TABLE = {
    "0.0": BY_STAGE,
    "1.0": BY_STAGE,
    "1.1": RECIPIENT,
    "1.2": RECIPIENT,
    "1.3": RECIPIENT,
    "1.4": RECIPIENT,
    "1.5": BY_STAGE,
    "1.6": RECIPIENT,
    "1.7": US,
    "1.8": US,
    "1.9": BY_STAGE,
    "1.10": RECIPIENT,
    "1.90": RATE,
    "2.0": BY_STAGE,
    "2.1": RECIPIENT,
    "2.2": RECIPIENT,
    "2.3": SIZE,
    "2.4": RECIPIENT,
    "2.121": RECIPIENT,
    "2.122": RECIPIENT,
    "2.252": US,
    "3.0": BY_STAGE,
    "3.1": SERVER,
    "3.2": SERVER,
    "3.3": BY_STAGE,
    "3.4": SIZE,
    "3.5": SERVER,
    "3.6": BY_STAGE,
    "4.0": BY_STAGE,
    "4.1": RECIPIENT,
    "4.2": BY_STAGE,
    "4.3": SERVER,
    "4.4": RECIPIENT,
    "4.5": SERVER,
    "4.6": RECIPIENT,
    "4.7": BY_STAGE,
    "5.0": BY_STAGE,
    "5.1": BY_STAGE,
    "5.2": BY_STAGE,
    "5.3": BY_STAGE,
    "5.4": BY_STAGE,
    "5.5": BY_STAGE,
    "5.6": US,
    "6.0": MESSAGE,
    "6.1": MESSAGE,
    "6.2": MESSAGE,
    "6.3": MESSAGE,
    "6.4": MESSAGE,
    "6.5": MESSAGE,
    "6.6": MESSAGE,
    "6.7": LETTERS,
    "6.8": LETTERS,
    "6.9": LETTERS,
    "6.10": LETTERS,
    "7.0": BY_STAGE,
    "7.1": BY_STAGE,
    "7.2": RECIPIENT,
    "7.3": BY_STAGE,
    "7.4": BY_STAGE,
    "7.5": BY_STAGE,
    "7.6": BY_STAGE,
    "7.7": MESSAGE,
    "7.8": US,
    "7.9": US,
    "7.10": US,
    "7.11": US,
    "7.12": BY_STAGE,
    "7.13": BY_STAGE,
    "7.14": US,
    "7.15": SERVER,
    "7.16": SIZE,
    "7.17": RECIPIENT,
    "7.18": RECIPIENT,
    "7.19": BY_STAGE,
    "7.20": US,
    "7.21": US,
    "7.22": US,
    "7.23": US,
    "7.24": US,
    "7.25": US,
    "7.26": US,
    "7.27": US,
    "7.28": RATE,
    "7.29": MESSAGE,
    "7.30": BY_STAGE,
    "7.54": US,
    "7.57": US,
    "7.60": US,
    "7.64": US,
    "7.232": RATE,
    "7.233": RATE,
    "7.236": RATE,
    "7.500": (*RATE[:1], *BY_STAGE[1:]),
    "7.501": (*RATE[:1], *US[1:]),
    "7.502": (*RATE[:1], *US[1:]),
    "7.503": (*RATE[:1], *US[1:]),
    "7.504": (*RATE[:1], *BY_STAGE[1:]),
    "7.506": (*RATE[:1], *US[1:]),
    "7.508": RATE,
    "7.509": (*RATE[:1], *US[1:]),
    "7.510": (*RATE[:1], *US[1:]),
    "7.511": (*RATE[:1], *US[1:]),
    "7.512": (*RATE[:1], *MESSAGE[1:]),
    "7.515": (*RATE[:1], *US[1:]),
    "7.606": (*RATE[:1], *US[1:]),
    "7.649": (*RATE[:1], *US[1:]),
    "7.650": (*RATE[:1], *BY_STAGE[1:]),
    "7.705": US,
    "7.708": US,
    "7.750": US,
    "7.850": (*RATE[:1], *BY_STAGE[1:]),
    "7.999": BY_STAGE,
    "9.9": BY_STAGE,
}
IANA = {
    0: 0,
    1: 10,
    2: 4,
    3: 6,
    4: 7,
    5: 6,
    6: 10,
    7: 30,
}
"""The registry's subjects, and the highest detail of each."""


def kind_of(stage: Stage, code: int, text: str) -> str:
    outcome = judge_reply(Reply(stage=stage, code=code, text=text))
    assert not isinstance(outcome, Accepted)
    assert isinstance(outcome, Throttled) is (outcome.problem.kind == "provider.throttled")
    match outcome:
        case Rejected():
            return f"{outcome.problem.kind}!"
        case Retryable(provider_at_fault=False):
            return f"{outcome.problem.kind}~"
    return outcome.problem.kind


@pytest.mark.parametrize(("status", "expected"), TABLE.items())
def test_status_code_has_its_outcome(status: str, expected: tuple[str, str, str]) -> None:
    assert (
        kind_of(Stage.RCPT, 450, f"4.{status} no"),
        kind_of(Stage.RCPT, 550, f"5.{status} no"),
        kind_of(Stage.BODY, 554, f"5.{status} no"),
    ) == expected


def test_every_registered_status_code_is_in_the_tables() -> None:
    registered = {f"{subject}.{detail}" for subject, highest in IANA.items() for detail in range(highest + 1)}
    assert registered - set(ABOUT) == set()
    assert set(ABOUT) - set(TABLE) == set()


@pytest.mark.parametrize("text", ["5.1.1 no", " 5.1.1 no", "#5.1.1 no", "[5.1.1] no", "(5.1.1) no", "5.1.1"])
def test_status_code_is_found_as_servers_write_it(text: str) -> None:
    assert kind_of(Stage.BODY, 550, text) == "address.refused!"


@pytest.mark.parametrize("text", ["", "no", "5.1.1.1", "1.1 no", "3.1.1 no", "see 5.1.1"])
def test_what_only_looks_like_a_status_code_is_none(text: str) -> None:
    assert kind_of(Stage.BODY, 550, text) in {"message.refused!", "address.refused!"}


@pytest.mark.parametrize("status", ["1.1", "1.3", "6.0"])
def test_before_the_recipient_is_named_it_is_the_sender_who_is_meant(status: str) -> None:
    assert kind_of(Stage.MAIL, 550, f"5.{status} no") == "provider.misconfigured"


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.STARTTLS, Stage.AUTH])
@pytest.mark.parametrize("status", ["0.0", "1.1", "3.2", "6.0", "7.12", "7.13"])
def test_before_the_first_mail_every_no_is_about_us(stage: Stage, status: str) -> None:
    assert kind_of(stage, 554, f"5.{status} no") == "provider.misconfigured"
