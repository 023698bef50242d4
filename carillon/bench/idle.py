"""What it uses while nothing is to be done."""

import time

import msgspec

from carillon.bench.stand import Stand


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Of one core, in per cent, by process, servers included."""

    broker: str
    seconds: float
    share: dict[str, float]

    @property
    def together(self) -> float:
        """All of them; the sink is not Carillon's."""
        return sum(share for name, share in self.share.items() if name != "sink")


def measure_idle(stand: Stand, *, seconds: float = 30.0) -> Idle:
    """From the moment at which all is quiet."""
    stand.meter.wait_quiet()
    stand.meter.reset()
    started = time.monotonic()
    time.sleep(seconds)
    cost = stand.meter.read().cost
    lasted = time.monotonic() - started
    return Idle(
        broker=stand.broker,
        seconds=lasted,
        share={name: 100 * each.cpu_s / lasted for name, each in cost.items()},
    )
