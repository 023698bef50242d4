"""What was used of late, within a bound: the same for templates, compiled templates and API keys."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class RecentlyUsed(Generic[KeyT, ValueT]):
    """At most `max_items`, which together weigh at most `max_weight`; the longest unused is dropped first.
    An item that is heavier than all that is allowed stands alone until the next one comes."""

    def __init__(self, *, max_items: int, max_weight: int) -> None:
        self._items: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()
        self._max_items = max_items
        self._room = max_weight

    def get(self, key: KeyT) -> ValueT | None:
        """The value, used just now; None where there is none."""
        found = self._items.get(key)
        if found is None:
            return None
        self._items.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, *, weight: int = 1) -> None:
        """Keep `value` under `key`, in place of what was there."""
        self.drop(key)
        self._items[key] = (value, weight)
        self._room -= weight
        while len(self._items) > 1 and (self._room < 0 or len(self._items) > self._max_items):
            _, (_, dropped) = self._items.popitem(last=False)
            self._room += dropped

    def drop(self, key: KeyT) -> None:
        """Forget it, where it is there."""
        found = self._items.pop(key, None)
        if found is not None:
            self._room += found[1]

    def __iter__(self) -> Iterator[tuple[KeyT, ValueT]]:
        return iter([(key, value) for key, (value, _) in self._items.items()])

    def __len__(self) -> int:
        return len(self._items)
