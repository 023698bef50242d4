"""What the categories promise."""

import pytest

from shared.contracts.categories import CategoryPolicy, policy_of
from tests.architecture.source import modules


def test_a_promotion_is_never_sent_twice_wakes_nobody_and_makes_way() -> None:
    assert policy_of("promotional") == CategoryPolicy(
        repeat_after_doubt=False, awaits_evidence=True, deferrable=True, bulk=True, urgent_push=False
    )


def test_a_security_message_does_not_wait_for_the_morning() -> None:
    assert not policy_of("security").deferrable
    assert policy_of("security").repeat_after_doubt
    assert not policy_of("security").awaits_evidence


@pytest.mark.parametrize("category", ["transactional", "receipts", ""])
def test_whatever_else_there_is_is_treated_as_transactional(category: str) -> None:
    assert policy_of(category) == CategoryPolicy(
        repeat_after_doubt=True, awaits_evidence=True, deferrable=True, bulk=False, urgent_push=True
    )


def test_what_sends_and_accepts_names_no_category() -> None:
    """It asks the policy. A name as such stands in settings and in examples."""
    asking = modules("gateway_service/domain", "shared/delivery", "push_service", "email_service")
    naming = [module.name for module in asking if {"promotional", "security"} & set(module.strings())]
    assert naming == []
