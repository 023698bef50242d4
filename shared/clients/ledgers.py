"""The ledgers of the channel services, as the gateway asks them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import httpx
import msgspec

from shared.clients.peer import Peer
from shared.contracts.channels import Channel
from shared.contracts.delivery import (
    DeliveryKey,
    DeliveryReported,
    LedgerAnswer,
    LedgerPurge,
    LedgerPurged,
    LedgerQuestion,
    ReportReceipt,
    ReportReceipts,
)
from shared.process.service_tokens import ServiceTokens

MOST_KEYS = 500
MOST_RECEIPTS = 1000


class LedgerClient:
    """One channel service each; `urls` names them by channel. Every call raises PeerError.

    No circuit breaker: only the gateway's sweep asks, one question after the other and at its own pace, and
    nobody waits for the answer.
    """

    def __init__(
        self,
        urls: Mapping[Channel, str],
        tokens: ServiceTokens,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._peers = {
            channel: Peer(
                base_url=url, service=f"{channel.value}_service", tokens=tokens, transport=transport
            )
            for channel, url in urls.items()
        }

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Those that have a ledger."""
        return tuple(self._peers)

    async def lookup(self, channel: Channel, keys: Sequence[DeliveryKey]) -> tuple[DeliveryReported, ...]:
        """The newest report of every target that the ledger knows of these runs."""
        reports: list[DeliveryReported] = []
        for start in range(0, len(keys), MOST_KEYS):
            question = LedgerQuestion(keys=tuple(keys[start : start + MOST_KEYS]))
            answer = await self._peers[channel].ask("/internal/v1/ledger/lookup", question, LedgerAnswer)
            reports.extend(answer.reports)
        return tuple(reports)

    async def acknowledge(self, channel: Channel, receipts: Sequence[ReportReceipt]) -> None:
        """Tell the ledger that these reports, or newer ones, are stored."""
        for start in range(0, len(receipts), MOST_RECEIPTS):
            body = ReportReceipts(receipts=tuple(receipts[start : start + MOST_RECEIPTS]))
            await self._peers[channel].call(
                "POST", "/internal/v1/ledger/receipts", content=msgspec.json.encode(body), again=True
            )

    async def purge(self, channel: Channel, *, before: UUID) -> int:
        """Have one batch of rows of ids below `before` deleted; how many. To be repeated until it is 0."""
        answer = await self._peers[channel].ask(
            "/internal/v1/ledger/purge", LedgerPurge(before=before), LedgerPurged
        )
        return answer.rows

    async def close(self) -> None:
        """Close kept connections."""
        for peer in self._peers.values():
            await peer.close()
