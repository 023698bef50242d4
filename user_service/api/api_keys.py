"""API keys of an account, and the gateway's question whose a key is."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from shared.contracts.http.auth import ApiKeyPage, ApiKeyWithSecret, NewOwnedApiKey
from shared.contracts.http.base import PageQuery
from shared.contracts.recipients import ApiKeyQuestion
from shared.web.parts import Session
from shared.web.problems import unprocessable
from user_service.api.bodies import answer, question
from user_service.api.parts import CurrentParts
from user_service.domain import api_keys

router = APIRouter(tags=["api-keys"])


class OwnedPageQuery(PageQuery):
    """Whose keys."""

    owner: UUID


@router.post("/api-keys", status_code=status.HTTP_201_CREATED)
async def create_api_key(new: NewOwnedApiKey, session: Session) -> ApiKeyWithSecret:
    """The secret is in this answer and nowhere else."""
    return await api_keys.create(session, new)


@router.get("/api-keys")
async def list_api_keys(wanted: Annotated[OwnedPageQuery, Query()], session: Session) -> ApiKeyPage:
    """The owner's, newest first."""
    return await api_keys.read_page(session, wanted.owner, wanted)


@router.delete("/api-keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_api_key(key_id: UUID, owner: UUID, session: Session) -> None:
    """Good for nothing from now on; gateways may go on for 10 s."""
    await api_keys.remove(session, owner, key_id)


@router.post("/api-keys/verify")
async def verify_api_key(request: Request, parts: CurrentParts) -> Response:
    """404 where there is no such key."""
    asked = await question(request, ApiKeyQuestion)
    try:
        digest = bytes.fromhex(asked.digest)
    except ValueError as error:
        raise unprocessable("digest", "not in hex") from error
    async with parts.database.session() as session:
        return answer(await api_keys.verify(session, digest))
