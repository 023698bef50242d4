"""What is done about a call of which nobody knows whether the message was taken, short of calling again."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

import structlog

from shared.contracts.categories import policy_of
from shared.contracts.channels import Channel
from shared.contracts.delivery import Attempt, DeliveryRequested, DeliveryState, Problem
from shared.delivery import metrics
from shared.delivery.evidence import message_id_of
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import LedgerRow, SettledAttempt
from shared.delivery.patience import patiently
from shared.delivery.recourse import ASK_TIMEOUT_S, Finding, Inquiry
from shared.delivery.reporter import Reporter
from shared.delivery.retry import (
    LONGEST_THROTTLING,
    NOT_TAKEN,
    Circumstances,
    DoubtStep,
    Settlement,
    age_at,
    give_up_step,
    key_is_good,
    settle_question,
)
from shared.delivery.rota import Rota
from shared.process.clock import Clock

log = structlog.get_logger()
ContentT = TypeVar("ContentT")

SAME_KEY_PATIENCE = timedelta(seconds=60)
"""How long a provider that takes keys and cannot be called now is waited for, counted from the call that is
in doubt; a message that must never go out twice waits for as long as one that is throttled."""
DENIED = Problem(kind="provider.denied", message="The provider, asked, never took it.")
DOUBT = Problem(kind="delivery.unknown", message="It may or may not have gone out.")


class Doubts(Generic[ContentT]):
    """Every step is written into the ledger, fenced by the step before; so a process that dies in the middle
    leaves it to the next, and of two that do the same one writes."""

    def __init__(
        self, *, channel: Channel, ledger: Ledger, rota: Rota[ContentT], reporter: Reporter, clock: Clock
    ) -> None:
        self._channel = channel
        self._ledger = ledger
        self._rota = rota
        self._reporter = reporter
        self._clock = clock

    async def pursue(self, request: DeliveryRequested, row: LedgerRow) -> None:
        """Take the step that the row says, other than a call."""
        circumstances = self.circumstances(request, row)
        if row.doubt is not DoubtStep.ASK:
            await self._write(row, give_up_step(row.doubt or DoubtStep.AWAIT_CALLBACK, circumstances))
            return
        finding = await self._ask(row)
        entry = self._entry(row, finding)
        if entry is not None:
            circumstances = replace(circumstances, earlier=(*row.attempts, entry))
        await self._write(row, settle_question(finding, circumstances), entry=entry)

    def key_is_good(self, row: LedgerRow) -> bool:
        """Whether the provider still knows the key that it was called with."""
        recourse = self._rota.recourse_of(row.provider or "")
        return key_is_good(recourse, age=age_at(self._clock.now(), row.attempts))

    async def give_up_key(self, request: DeliveryRequested, row: LedgerRow) -> Settlement | None:
        """The provider cannot be called with the same key now: the settlement where that is not waited for
        any longer, None where it still is."""
        doubts = [attempt.started_at for attempt in row.attempts if attempt.outcome == "unknown"]
        waited = self._clock.now() - max(doubts) if doubts else LONGEST_THROTTLING
        if self.key_is_good(row) and waited < self._patience(request.category):
            return None
        settlement = give_up_step(DoubtStep.SAME_KEY, self.circumstances(request, row))
        await self._write(row, settlement)
        return settlement

    def circumstances(self, request: DeliveryRequested, row: LedgerRow) -> Circumstances:
        """Of a row whose last call is in doubt."""
        return Circumstances(
            earlier=row.attempts,
            category=request.category,
            chance=0.0,
            doubt=row.doubt,
            repeated=row.possible_duplicate,
            recourse=self._rota.recourse_of(row.provider or ""),
        )

    @staticmethod
    def _patience(category: str) -> timedelta:
        policy = policy_of(category)
        if not policy.repeat_after_doubt:
            return LONGEST_THROTTLING
        return SAME_KEY_PATIENCE if policy.awaits_evidence else timedelta(0)

    async def _ask(self, row: LedgerRow) -> Finding:
        ask = self._rota.recourse_of(row.provider or "").ask
        doubtful = [attempt for attempt in row.attempts if attempt.outcome == "unknown"]
        if ask is None or not doubtful:
            return Finding.NO_ANSWER
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await ask(
                    Inquiry(
                        message_id=message_id_of(row.key, targets=row.targets),
                        called_at=doubtful[-1].started_at,
                    )
                )
        except TimeoutError:
            return Finding.NO_ANSWER
        except Exception:
            log.exception("provider.raised", provider=row.provider)
            return Finding.NO_ANSWER

    def _entry(self, row: LedgerRow, finding: Finding) -> Attempt | None:
        """For the history: a word of the provider, and no call."""
        if finding is Finding.NO_ANSWER:
            return None
        taken = finding is Finding.TAKEN
        return Attempt(
            number=row.attempt,
            provider=row.provider or "",
            outcome="accepted" if taken else NOT_TAKEN,
            problem=None if taken else DENIED,
            started_at=self._clock.now(),
            duration_ms=0,
        )

    async def _write(self, row: LedgerRow, settlement: Settlement, *, entry: Attempt | None = None) -> None:
        settled = await patiently(
            partial(
                self._ledger.settle,
                SettledAttempt(
                    key=row.key,
                    attempt=row.attempt,
                    settlement=settlement,
                    provider_message_id=None,
                    problem=None if settlement.state is DeliveryState.SENT else row.problem or DOUBT,
                    entry=entry,
                    ended_step=row.doubt,
                ),
            )
        )
        if settled is None:
            return
        log.info(
            "doubt.pursued",
            notification_id=str(row.key.notification_id),
            run=row.key.run,
            target=row.key.target,
            step=row.doubt,
            finding=None if entry is None else entry.outcome,
            state=settled.state.value,
        )
        if settlement.possible_duplicate:
            metrics.POSSIBLE_DUPLICATES.labels(self._channel.value).inc()
        await self._reporter.report(settled)
