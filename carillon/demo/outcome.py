"""All that is known at the end of a demo: what was asked for, what Carillon says, and what has arrived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from carillon.demo.arrivals import Arrival
from carillon.demo.sending import Accepted, Posted, Status
from carillon.demo.verdict import SENT, Fault, Kind, expect, judge
from shared.contracts.channels import Channel


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one channel, or of all. Times are in seconds: `accepting` from a request to its answer, `delivering`
    from the moment at which the gateway took it to its arrival at the mailbox or the push stand-in;
    `accepting_for` from the first request to the last answer, `delivering_for` to the last arrival."""

    name: str
    asked: int
    accepted: int
    sent: int
    accepting: Sequence[float]
    delivering: Sequence[float]
    accepting_for: float
    delivering_for: float

    @property
    def failed(self) -> int:
        """Not accepted, or accepted and not sent."""
        return self.asked - self.sent


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one demo."""

    posted: Posted
    statuses: Mapping[UUID, Status]
    arrived: Sequence[Arrival]

    @property
    def asked(self) -> int:
        """How many letters there were."""
        return len(self.posted.accepted) + len(self.posted.turned)

    def faults(self) -> list[Fault]:
        """Everything that is wrong."""
        turned = [
            Fault(
                kind=Kind.NOT_ACCEPTED, detail=f"{each.letter.key} {each.letter.template.code}: {each.reason}"
            )
            for each in self.posted.turned
        ]
        return turned + judge(
            [expect(each.id, each.letter) for each in self.posted.accepted],
            self.arrived,
            states={id_: str(status) for id_, status in self.statuses.items()},
        )

    def figures(self) -> list[Figures]:
        """By channel, and of all."""
        channels = sorted({each.letter.template.channel for each in self.posted.accepted})
        return [*(self._figures(channel) for channel in channels), self._figures(None)]

    def _figures(self, channel: Channel | None) -> Figures:
        accepted = [each for each in self.posted.accepted if channel in (None, each.letter.template.channel)]
        turned = [each for each in self.posted.turned if channel in (None, each.letter.template.channel)]
        arrived = self._first_arrivals(accepted)
        return Figures(
            name="All" if channel is None else channel.value.capitalize(),
            asked=len(accepted) + len(turned),
            accepted=len(accepted),
            sent=sum(self.statuses[each.id].status in SENT for each in accepted if each.id in self.statuses),
            accepting=[each.took_s for each in accepted],
            delivering=[
                (arrived[each.id].at - each.created_at).total_seconds()
                for each in accepted
                if each.id in arrived
            ],
            accepting_for=self.posted.ended_at - self.posted.began_at,
            delivering_for=max((each.at.timestamp() for each in arrived.values()), default=0.0)
            - self.posted.began_at,
        )

    def _first_arrivals(self, accepted: Sequence[Accepted]) -> Mapping[UUID, Arrival]:
        wanted = {each.id for each in accepted}
        latest_first = sorted(self.arrived, key=lambda each: each.at, reverse=True)
        return {each.notification_id: each for each in latest_first if each.notification_id in wanted}
