"""What a rendering may cost. Every value a template makes is paid for before or as it comes into being,
so that no template, whatever its variables, takes more than a fraction of a second or a few megabytes.
"""

from jinja2.runtime import Undefined

STEPS = 200_000
"""Steps of one part of a message, of about a microsecond each. A table of 10,000 cells takes some 60,000."""

CHARACTERS_PER_STEP = 32
MAX_CHARACTERS = 1024 * 1024
"""The longest string a template may make, and the longest part of a message."""


class TooExpensive(Exception):
    """The template does more work, or makes more text, than a message may."""


class NotText(Exception):
    """A value that has no place in a message, such as a macro or a generator."""


class Meter:
    """The steps left to one rendering."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises TooExpensive where they are used up."""
        self.left -= steps
        if self.left < 0:
            raise TooExpensive("it takes too many steps")

    def spend_text(self, length: int) -> None:
        """Pay for a string of `length` characters. Raises TooExpensive."""
        if length > MAX_CHARACTERS:
            raise TooExpensive("it makes too long a text")
        self.spend(1 + length // CHARACTERS_PER_STEP)

    def spend_value(self, value: object) -> None:
        """Pay for the whole of `value`, all that it contains included, as often as it contains it.

        A list built of itself again and again is small in memory and huge to print or compare: paying
        for its full size where it is built is what stops it. Raises TooExpensive.
        """
        if isinstance(value, str):
            self.spend_text(len(value))
        elif isinstance(value, dict | list | tuple):
            self._spend_container(value)
        elif isinstance(value, range):
            self.spend(1 + len(value))
        else:
            self.spend(1)

    def _spend_container(self, value: dict[object, object] | list[object] | tuple[object, ...]) -> None:
        containers = [value]
        while containers:
            container = containers.pop()
            self.spend(1 + len(container))
            if isinstance(container, dict):
                items = [*container.keys(), *container.values()]
            else:
                items = list(container)
            for item in items:
                if isinstance(item, str):
                    self.spend_text(len(item))
                elif isinstance(item, dict | list | tuple):
                    containers.append(item)
                elif not (item is None or isinstance(item, bool | int | float | Undefined)):
                    raise NotText(f"a {type(item).__name__.lower()} cannot be put into a list")
