"""What a category of notifications means for the way it is sent: the one place that knows."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CategoryPolicy:
    """`repeat_after_doubt`: sent once more where it may or may not have gone out; `awaits_evidence`: where it
    may have, the provider's word is waited for first; `deferrable`: held back by the recipient's quiet hours;
    `bulk`: takes the bulk lane; `urgent_push`: wakes a sleeping device."""

    repeat_after_doubt: bool = True
    awaits_evidence: bool = True
    deferrable: bool = True
    bulk: bool = False
    urgent_push: bool = True


_TRANSACTIONAL = CategoryPolicy()
_POLICIES = {
    # A password reset is wanted when it is asked for.
    "security": CategoryPolicy(deferrable=False, awaits_evidence=False),
    "transactional": _TRANSACTIONAL,
    # A second copy of an advertisement is worse than none.
    "promotional": CategoryPolicy(repeat_after_doubt=False, bulk=True, urgent_push=False),
}


def policy_of(category: str) -> CategoryPolicy:
    """How the category is treated; one that an operator has added is treated as transactional."""
    return _POLICIES.get(category, _TRANSACTIONAL)
