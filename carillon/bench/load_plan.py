"""What the load generator is told, and what it gives back."""

from collections.abc import Iterator

import msgspec

from carillon.bench.figures import NS


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """POST every line of `requests_file` (an idempotency key, a tab, a JSON body) to one path.

    With `rate` (requests a second) the loop is open: each has its time, whether or not those before it have
    been answered. Without, it is closed: each connection asks again as soon as it has its answer.
    """

    port: int
    path: str
    authorization: str
    connections: int
    requests_file: str
    result_file: str
    rate: float | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One request, the `number`-th line from 0, on `time.monotonic_ns()`'s clock. `due_ns` is when it
    was to be sent, in a closed loop the same as `sent_ns`. `status` is 0 where the connection broke before
    the answer."""

    number: int
    due_ns: int
    sent_ns: int
    done_ns: int
    status: int
    ids: list[str]


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """All requests, in the order of their answers. `cpu_s` is what sending them took of the generator."""

    started_ns: int
    ended_ns: int
    cpu_s: float
    answers: list[Answer]

    def accepted_ids(self) -> Iterator[str]:
        """Of every answer."""
        for answer in self.answers:
            yield from answer.ids

    def latencies_ns(self) -> list[int]:
        """From the time a request was due to its answer: waiting for a free connection counts."""
        return [answer.done_ns - answer.due_ns for answer in self.answers if answer.status]


def due_times(count: int, *, rate: float, start_ns: int) -> list[int]:
    """When each of `count` requests is to be sent at an even `rate` a second."""
    return [start_ns + int(number * NS / rate) for number in range(count)]
