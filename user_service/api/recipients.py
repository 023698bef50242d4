"""The workers' and the gateway's question who somebody is and what they want."""

from collections import defaultdict

from fastapi import APIRouter, Request, Response

from shared.contracts.channels import Channel
from shared.contracts.recipients import Recipient, RecipientAnswer, RecipientQuestion
from shared.web.problems import unprocessable
from user_service.api.bodies import answer, question
from user_service.api.parts import CurrentParts
from user_service.storage import recipients

MAX_ASKED = 1_000
_NUL = "\x00"
"""PostgreSQL holds none, so nobody can be known by a value with one."""
router = APIRouter(tags=["recipients"])


@router.post("/recipients/lookup")
async def look_up(request: Request, parts: CurrentParts) -> Response:
    """As they are now: one statement for each way of asking that is used."""
    asked = await question(request, RecipientQuestion)
    if len(asked.ids) + len(asked.external_ids) + len(asked.addresses) > MAX_ASKED:
        raise unprocessable("body", f"at most {MAX_ASKED} in all")
    by_channel: dict[Channel, set[str]] = defaultdict(set)
    for address in asked.addresses:
        if _NUL not in address.value:
            by_channel[address.channel].add(address.value)
    by_address: dict[str, Recipient] = {}
    async with parts.database.connection() as connection:
        by_id = await recipients.by_id(connection, asked.ids) if asked.ids else {}
        external_ids = [external_id for external_id in asked.external_ids if _NUL not in external_id]
        by_external_id = await recipients.by_external_id(connection, external_ids) if external_ids else {}
        for channel, values in by_channel.items():
            found = await recipients.by_address(connection, channel, values)
            by_address.update({f"{channel.value}:{value}": person for value, person in found.items()})
    return answer(RecipientAnswer(by_id=by_id, by_external_id=by_external_id, by_address=by_address))
