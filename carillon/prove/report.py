"""What an experiment found, for people and as JSON."""

import msgspec

from carillon.machine import Machine
from carillon.prove.scenario import Scenario
from carillon.prove.witness.verdict import Verdict


class ScenarioReport(msgspec.Struct, frozen=True, kw_only=True):
    """`complaints` make it red. `skipped`: why it could not be played here; then there is no verdict.
    `doubts_ceiling`: how many calls can have been in flight when something died or timed out. `figures` are
    particular to the scenario."""

    number: int
    name: str
    says: str
    seconds: float
    complaints: list[str]
    verdict: Verdict | None = None
    doubts_ceiling: int = 0
    figures: dict[str, float] = {}
    skipped: str | None = None

    @classmethod
    def not_played(cls, scenario: Scenario, *, reason: str) -> "ScenarioReport":
        """One that cannot be played here."""
        return cls(
            number=scenario.number,
            name=scenario.name,
            says=scenario.says,
            seconds=0.0,
            complaints=[],
            skipped=reason,
        )

    @property
    def is_green(self) -> bool:
        """Played, and nothing to complain of."""
        return self.skipped is None and not self.complaints


class ProofReport(msgspec.Struct, frozen=True, kw_only=True):
    """`afterwards`: all scenarios of a stand together, looked at once more at the end, so that what came late
    is seen."""

    command: str
    broker: str
    size: str
    seed: int
    started_at: str
    seconds: float
    machine: Machine
    scenarios: list[ScenarioReport]
    afterwards: list[Verdict]
    complaints: list[str]

    @property
    def is_green(self) -> bool:
        """Something was played, and there is nothing to complain of."""
        return (
            not self.complaints
            and any(each.is_green for each in self.scenarios)
            and all(each.is_green or each.skipped for each in self.scenarios)
        )


def common_complaints(verdict: Verdict, *, scenario: Scenario | None, doubts_ceiling: int) -> list[str]:
    """What is wrong whatever was done to the system. Without a scenario: with all of them."""
    must_be_nought = {
        "lost": verdict.lost,
        "silent duplicates": verdict.silent_duplicates,
        "stuck longer than a minute": verdict.stuck,
        "sent without having been accepted": verdict.unaccepted,
        "said to have failed, and sent": verdict.contradictions,
        "undecided": verdict.undecided,
        "mails without a mark": verdict.unmarked,
        "suppressed, expired, cancelled or discarded, which nobody asked for": (
            verdict.suppressed + verdict.expired + verdict.cancelled + verdict.discarded
        ),
        "answers that were 5xx, and not 503": verdict.server_errors,
    }
    found = [f"{count} {what}" for what, count in must_be_nought.items() if count]
    if not verdict.read_whole:
        found.append("the API could not be read to its end")
    if not verdict.settled:
        found.append("the providers did not come to rest")
    if not verdict.accepted:
        found.append("nothing was accepted")
    if scenario is None:
        return found
    if verdict.parked and not scenario.parks:
        found.append(f"{verdict.parked} failed and wait for an operator")
    doubtful = max(verdict.flagged, verdict.possible_duplicates)
    if verdict.unknown + doubtful > doubts_ceiling:
        found.append(
            f"{verdict.unknown} unknown and {doubtful} possible duplicates, where {doubts_ceiling} "
            "calls can have been in doubt"
        )
    if scenario.recovers:
        found += _what_did_not_recover(verdict)
    return found


def timed_out(verdict: Verdict) -> list[str]:
    """Requests that hung until the client had had enough."""
    hung = verdict.silences.get("timeout", 0)
    return [f"{hung} requests were not answered in time"] if hung else []


def _what_did_not_recover(verdict: Verdict) -> list[str]:
    found = []
    if not verdict.recoveries:
        found.append("no fault struck while there was a load")
    lasting = [recovery.fault for recovery in verdict.recoveries if recovery.s is None]
    if lasting:
        found.append(f"nothing went on after: {', '.join(lasting)}")
    if verdict.refused:
        found.append(f"{verdict.refused} were refused for good")
    return found
