"""What was used of late is kept within its bounds."""

from shared.process.recent import RecentlyUsed


def test_longest_unused_goes_first() -> None:
    kept = RecentlyUsed[str, int](max_items=2, max_weight=100)
    kept.put("a", 1)
    kept.put("b", 2)
    kept.get("a")
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)


def test_weight_is_bounded_too() -> None:
    kept = RecentlyUsed[str, int](max_items=100, max_weight=10)
    kept.put("a", 1, weight=6)
    kept.put("b", 2, weight=6)
    assert dict(kept) == {"b": 2}
    kept.put("c", 3, weight=50)
    assert dict(kept) == {"c": 3}
    kept.put("d", 4, weight=1)
    kept.put("e", 5, weight=9)
    assert dict(kept) == {"d": 4, "e": 5}


def test_same_key_again_replaces_value_and_weight() -> None:
    kept = RecentlyUsed[str, int](max_items=10, max_weight=10)
    for weight in (9, 8, 7):
        kept.put("a", weight, weight=weight)
    kept.put("b", 1, weight=3)
    assert dict(kept) == {"a": 7, "b": 1}
    kept.drop("a")
    assert len(kept) == 1
