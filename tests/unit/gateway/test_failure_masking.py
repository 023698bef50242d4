"""Who may not see personal data sees everything else."""

import traceback

import pytest

from gateway_service.domain.failure_masking import MASK, message_of, raw_of, stack_of
from gateway_service.domain.release import release_message
from shared.broker.decoding import decode
from shared.contracts.delivery import DeliveryRequested, InlineMessage
from tests.builders import a_notification

SECRET = "ann.example 4711"


def an_order(**changes: object) -> DeliveryRequested:
    return decode(release_message(a_notification(**changes)).body, DeliveryRequested)


@pytest.mark.parametrize(
    ("address", "shown"), [("ann@example.com", f"{MASK}@example.com"), ("+33612345678", MASK), (None, None)]
)
def test_an_address_keeps_its_domain(address: str | None, shown: str | None) -> None:
    order = an_order(address=address)
    assert message_of(order, personal=False).address == shown
    assert message_of(order, personal=True).address == address


def test_variables_keep_their_names_however_deep_they_are() -> None:
    order = an_order(variables={"person": {"name": SECRET}, "list": [SECRET]})
    masked = message_of(order, personal=False)
    assert masked.variables == {"person": MASK, "list": MASK}
    assert SECRET not in masked.model_dump_json()


def test_words_of_the_senders_own_are_masked() -> None:
    order = an_order(template_code=None, content=InlineMessage(subject=SECRET, body=SECRET))
    masked = message_of(order, personal=False)
    assert (masked.subject, masked.body, masked.variables) == (MASK, MASK, None)
    assert message_of(order, personal=True).body == SECRET


def test_bytes_are_told_of_but_not_shown() -> None:
    assert raw_of(SECRET.encode(), personal=False).base64 is None
    assert raw_of(SECRET.encode(), personal=False).size == len(SECRET)


def fail_in_many_ways() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        group = ExceptionGroup(SECRET, [ValueError(f"{SECRET}\n  File of {SECRET}\n{SECRET}: no")])
        raise group from error


def test_a_stack_names_places_and_kinds_but_no_values() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        fail_in_many_ways()
    stack = "".join(traceback.format_exception(caught.value))
    assert SECRET in stack
    masked = stack_of(stack, personal=False) or ""
    assert SECRET not in masked
    assert "in fail_in_many_ways" in masked
    assert "KeyError" in masked and "ValueError" in masked
    assert stack_of(stack, personal=True) == stack
    assert stack_of(None, personal=False) is None
