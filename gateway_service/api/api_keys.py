"""API keys of the account that is logged in."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from gateway_service.api.access import CurrentAccess, CurrentPrincipal
from gateway_service.api.forwarding import forward
from shared.contracts.http.auth import ApiKeyPage, ApiKeyWithSecret, NewApiKey, NewOwnedApiKey
from shared.contracts.http.base import PageQuery
from shared.web.openapi import problem_responses
from shared.web.problems import forbidden

router = APIRouter(prefix="/api-keys", tags=["access"], responses=problem_responses(503))
_INTERNAL = "/internal/v1/api-keys"


def _account(principal: CurrentPrincipal) -> UUID:
    if principal.user_id is None:
        raise forbidden("API keys are managed with an account's access token, not with another key.")
    return principal.user_id


Account = Annotated[UUID, Depends(_account)]


@router.post(
    "", status_code=status.HTTP_201_CREATED, response_model=ApiKeyWithSecret, summary="Make an API key"
)
async def create_api_key(new: NewApiKey, account: Account, access: CurrentAccess) -> Response:
    """`secret` is shown in this answer only. The scopes are among your own."""
    body = NewOwnedApiKey(owner=account, name=new.name, kind=new.kind, scopes=new.scopes)
    answer = await forward(access.users, "POST", _INTERNAL, body=body, location="/api/v1/api-keys")
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("", response_model=ApiKeyPage, summary="List API keys")
async def list_api_keys(
    wanted: Annotated[PageQuery, Query()], account: Account, access: CurrentAccess
) -> Response:
    """Your own, newest first, without their secrets."""
    query = {**wanted.model_dump(exclude_none=True), "owner": str(account)}
    return await forward(access.users, "GET", _INTERNAL, query=query)


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Revoke an API key",
    responses=problem_responses(404),
)
async def remove_api_key(key_id: UUID, account: Account, access: CurrentAccess) -> Response:
    """Good for nothing within 10 s."""
    return await forward(access.users, "DELETE", f"{_INTERNAL}/{key_id}", query={"owner": str(account)})
