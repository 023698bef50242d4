"""A change of preferences is a merge patch: what it does not name stays."""

import pytest

from shared.contracts.http.users import Preferences, PreferencesChange
from user_service.domain.preferences import TooManyCategories, from_stored, merge, to_stored

CURRENT = Preferences.model_validate(
    {
        "push_enabled": False,
        "categories": {"promotional": {"email": False, "push": False}, "digest": {"email": True}},
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "timezone": "Europe/Paris",
        "language": "fr",
    }
)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, {}),
        ({"email_enabled": False}, {"email_enabled": False}),
        ({"push_enabled": True}, {"push_enabled": True}),
        ({"quiet_hours": None}, {"quiet_hours": None}),
        ({"language": None, "timezone": "UTC"}, {"language": None, "timezone": "UTC"}),
        (
            {"categories": {"promotional": {"sms": False}}},
            {
                "categories": {
                    "promotional": {"email": False, "push": False, "sms": False},
                    "digest": {"email": True},
                }
            },
        ),
        (
            {"categories": {"promotional": {"email": None}}},
            {"categories": {"promotional": {"push": False}, "digest": {"email": True}}},
        ),
        (
            {"categories": {"digest": {"email": None}}},
            {"categories": {"promotional": {"email": False, "push": False}}},
        ),
        ({"categories": {"promotional": None}}, {"categories": {"digest": {"email": True}}}),
        ({"categories": {"unheard": None}}, {}),
    ],
)  # fmt: skip
def test_what_is_not_named_stays(change: dict[str, object], differs: dict[str, object]) -> None:
    merged = merge(CURRENT, PreferencesChange.model_validate(change))
    assert merged.model_dump() == {**CURRENT.model_dump(), **differs}


def test_merge_leaves_the_current_ones_alone() -> None:
    before = CURRENT.model_dump()
    merge(CURRENT, PreferencesChange.model_validate({"categories": {"promotional": {"email": None}}}))
    assert CURRENT.model_dump() == before


def test_categories_stay_bounded_over_many_changes() -> None:
    full = Preferences.model_validate({"categories": {f"c{n}": {"email": True} for n in range(100)}})
    with pytest.raises(TooManyCategories):
        merge(full, PreferencesChange.model_validate({"categories": {"one_more": {"email": True}}}))


@pytest.mark.parametrize("preferences", [CURRENT, Preferences()])
def test_stored_preferences_read_back_as_they_were(preferences: Preferences) -> None:
    stored = to_stored(preferences)
    assert from_stored(stored, timezone=preferences.timezone, language=preferences.language) == preferences


def test_nothing_chosen_means_everything_is_on() -> None:
    stored = to_stored(Preferences())
    assert set(stored.enabled) == {"email", "push", "sms", "whatsapp", "slack", "inbox"}
    assert all(stored.enabled.values())
