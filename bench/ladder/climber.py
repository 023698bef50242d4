"""Does for a mail what the rung asks for, with the services' own code."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from bench.ladder.gateway import Gateway, Mail
from carillon.bench.ladder import ClimbPlan, Rung
from email_service.channel import EmailChannel
from email_service.main import smtp_provider
from email_service.settings import EmailSettings
from gateway_service.storage.partitions import ensure_partitions
from shared.contracts.channels import Channel, EmailContent
from shared.contracts.delivery import Attempt, DeliveryState
from shared.contracts.templates import TemplateVersion
from shared.database.engine import Database
from shared.delivery.ledger import Ledger
from shared.delivery.ledger_rows import Claim, LedgerRow, Opening, SettledAttempt, TargetKey
from shared.delivery.outcomes import Accepted
from shared.delivery.provider import ProviderCall, Target
from shared.delivery.rendering import Renderer
from shared.delivery.retry import Settlement


class Climber:
    """Sends mails; what it uses is opened by `start`."""

    def __init__(self, plan: ClimbPlan) -> None:
        settings = EmailSettings(smtp_host="127.0.0.1", smtp_port=plan.port)
        self._rung = plan.rung
        self._email_db, self._gateway_db = Database(plan.email_db), Database(plan.gateway_db)
        self._ledger = Ledger(self._email_db)
        self._gateway = Gateway(self._gateway_db, self._ledger)
        self._provider = smtp_provider(settings)
        self._lease = timedelta(seconds=settings.smtp_timeout_s + settings.lease_margin_s)
        self._slots = asyncio.Semaphore(settings.normal_concurrency)
        self._channel, self._renderer = EmailChannel(), Renderer()
        self._template = TemplateVersion(
            code=plan.template["code"],
            channel=Channel.EMAIL,
            version=1,
            language=plan.template["language"],
            subject=plan.template["subject"],
            body=plan.template["body"],
            text_body=plan.template["text_body"],
            required_variables=("name", "order"),
            variables_schema=None,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """What the rung needs, and nothing else; closed with `stack`, in the opposite order."""
        stack.push_async_callback(self._provider.close)
        parts: list[Database | Ledger | Gateway] = []
        if self._rung is not Rung.BARE:
            parts += [self._email_db, self._ledger]
        if self._rung is Rung.GUARANTEED:
            parts += [self._gateway_db, self._gateway]
        for part in parts:
            await part.start()
            stack.push_async_callback(part.close)
        if self._rung is Rung.GUARANTEED:
            await ensure_partitions(self._gateway_db, datetime.now(UTC))

    async def log_position(self) -> str:
        """Where PostgreSQL's log ends now; empty on the rung that does without PostgreSQL."""
        if self._rung is Rung.BARE:
            return ""
        async with self._email_db.connection() as connection:
            return str(await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text"))

    async def accept(self, mail: Mail) -> None:
        """Store it, where the rung asks for that."""
        if self._rung is Rung.GUARANTEED:
            await self._gateway.accept(mail)

    async def send(self, mail: Mail) -> None:
        """From its rendering to the receipt for its report, as far as the rung goes. Raises RuntimeError
        where something does not go as it does when all is well."""
        (target,) = self._channel.targets(mail.order, None)
        call = self._call(mail, target)
        claim = self._claim(mail, target)
        async with self._slots:
            if self._rung is not Rung.BARE and not await self._ledger.claim(claim):
                raise RuntimeError("A claim was not granted.")
            started_at, began = datetime.now(UTC), time.monotonic()
            outcome = await self._provider.send(call)
        if not isinstance(outcome, Accepted):
            raise RuntimeError(f"A mail was not taken: {outcome.problem.message}")
        if self._rung is not Rung.BARE:
            took_ms = round(1000 * (time.monotonic() - began))
            row = await self._settle(claim, outcome, started_at=started_at, took_ms=took_ms)
            if self._rung is Rung.GUARANTEED:
                await self._gateway.report(row)

    def _call(self, mail: Mail, target: Target) -> ProviderCall[EmailContent]:
        rendered = self._renderer.render(self._template, mail.notification.variables)
        return ProviderCall(
            notification_id=mail.order.notification_id,
            run=mail.order.run,
            attempt=1,
            message_id=f"{mail.order.notification_id}.{mail.order.run}",
            category=mail.order.category,
            target=target,
            content=self._channel.content(rendered),
            created_at=mail.order.created_at,
            deadline=time.monotonic() + self._provider.timeout_s,
            correlation_id=mail.order.correlation_id,
        )

    def _claim(self, mail: Mail, target: Target) -> Claim:
        key = TargetKey(notification_id=mail.order.notification_id, run=mail.order.run, target=target.id)
        return Claim(
            opening=Opening(key=key, targets=1, request=mail.raw, correlation_id=mail.order.correlation_id),
            attempt=1,
            provider=self._provider.name,
            lease=self._lease,
            token=uuid4(),
        )

    async def _settle(
        self, claim: Claim, outcome: Accepted, *, started_at: datetime, took_ms: int
    ) -> LedgerRow:
        entry = Attempt(
            number=claim.attempt,
            provider=claim.provider,
            outcome="accepted",
            problem=None,
            started_at=started_at,
            duration_ms=took_ms,
        )
        row = await self._ledger.settle(
            SettledAttempt(
                key=claim.opening.key,
                attempt=claim.attempt,
                settlement=Settlement(state=DeliveryState.SENT),
                provider_message_id=outcome.provider_message_id,
                problem=None,
                entry=entry,
            )
        )
        if row is None:
            raise RuntimeError("A settlement was refused.")
        return row
