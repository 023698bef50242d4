"""What stands in for the providers where a request was made with a test key."""

from shared.delivery.outcomes import Accepted, Outcome
from shared.delivery.provider import ProviderCall
from shared.delivery.recourse import NO_RECOURSE


class DryRun:
    """Takes every message and sends none: the whole way is gone but for its last step."""

    name = "dry-run"
    timeout_s = 5.0
    recourse = NO_RECOURSE

    async def send(self, call: ProviderCall[object]) -> Outcome:
        """Accept."""
        return Accepted(provider_message_id=f"dry-run-{call.message_id}")

    async def check(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing is kept."""
