"""Ends without a call: what is not to be sent, and why."""

from collections.abc import Sequence
from functools import partial

import structlog

from shared.contracts.delivery import DeliveryRequested, DeliveryState, Problem
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import Conclusion, LedgerRow, Opening, TargetKey
from shared.delivery.ledger_sql import NO_TARGET
from shared.delivery.patience import patiently
from shared.delivery.preparation import Ended
from shared.delivery.reporter import Reporter
from shared.delivery.retry import in_doubt

log = structlog.get_logger()


class Endings:
    """Written into the ledger, however long that takes, and reported."""

    def __init__(self, ledger: Ledger, reporter: Reporter) -> None:
        self._ledger = ledger
        self._reporter = reporter

    async def conclude(
        self,
        request: DeliveryRequested,
        raw: bytes,
        rows: Sequence[LedgerRow],
        ended: Ended,
        *,
        stack: str | None = None,
    ) -> None:
        """End what is open of a run: `rows`, or the whole run where the ledger has none of it."""
        if not rows:
            whole = opening_of(request, raw, target=NO_TARGET, targets=1)
            await self.end(request, ended, whole, row=None, stack=stack)
        for row in rows:
            opening = opening_of(request, raw, target=row.key.target, targets=row.targets)
            await self.end(request, ended, opening, row=row, stack=stack)

    async def end(
        self,
        request: DeliveryRequested,
        ended: Ended,
        opening: Opening,
        *,
        row: LedgerRow | None,
        stack: str | None = None,
    ) -> None:
        """End one target. `row` is what the ledger had of it when that was decided; where it has moved on
        since, this does nothing, and whoever moved it goes on with it."""
        if row is not None and in_doubt(row.attempts):
            # Neither "never sent" nor, in a later run, a second copy in silence.
            ended = _doubtful(ended)
        conclusion = Conclusion(
            opening=opening,
            attempt=0 if row is None else row.attempt,
            state=ended.state,
            problem=ended.problem,
            deferred_until=ended.deferred_until,
        )
        written = await patiently(partial(self._ledger.conclude, conclusion))
        if written is not None:
            log.info(
                "delivery.ended",
                notification_id=str(request.notification_id),
                run=request.run,
                state=ended.state.value,
                problem=ended.problem.kind,
            )
            await self._reporter.report(written, stack=stack)


def opening_of(request: DeliveryRequested, raw: bytes, *, target: str, targets: int) -> Opening:
    """What the ledger is to keep of a target."""
    key = TargetKey(notification_id=request.notification_id, run=request.run, target=target)
    return Opening(key=key, targets=targets, request=raw, correlation_id=request.correlation_id)


def _doubtful(ended: Ended) -> Ended:
    message = f"It may have gone out, and was not sent again: {ended.problem.message}"
    return Ended(state=DeliveryState.UNKNOWN, problem=Problem(kind=ended.problem.kind, message=message))
