"""Registering, logging in, staying logged in; and the public keys to check tokens with."""

from fastapi import APIRouter, status

from shared.contracts.http.auth import (
    Credentials,
    JsonWebKeySet,
    NewAccount,
    RefreshRequest,
    Registration,
    TokenAnswer,
)
from shared.contracts.http.users import User
from user_service.api.parts import CurrentParts

public_router = APIRouter(tags=["auth"])
router = APIRouter(tags=["auth"])


@public_router.get("/.well-known/jwks.json", summary="The public keys of access tokens")
async def read_key_set(parts: CurrentParts) -> JsonWebKeySet:
    """Public by nature: whoever has them can check a token, and make none."""
    return parts.access_tokens.key_set


@router.post("/auth/register", status_code=status.HTTP_201_CREATED)
async def register(registration: Registration, parts: CurrentParts) -> User:
    """An account on the person's bare word: role `user`, address not verified."""
    new = NewAccount(**registration.model_dump())
    return await parts.accounts.register(new, origin="self")


@router.post("/accounts", status_code=status.HTTP_201_CREATED)
async def create_account(new: NewAccount, parts: CurrentParts) -> User:
    """An account with a role; whoever installed Carillon vouches for the address."""
    return await parts.accounts.register(new, origin="verified")


@router.post("/auth/token")
async def log_in(credentials: Credentials, parts: CurrentParts) -> TokenAnswer:
    """A first pair of tokens for address and password."""
    return await parts.accounts.log_in(credentials)


@router.post("/auth/refresh")
async def refresh(request: RefreshRequest, parts: CurrentParts) -> TokenAnswer:
    """The next pair for a refresh token that was never used."""
    return await parts.accounts.refresh(request.refresh_token)


@router.post("/auth/logout", status_code=status.HTTP_204_NO_CONTENT)
async def log_out(request: RefreshRequest, parts: CurrentParts) -> None:
    """End the family of the refresh token."""
    await parts.accounts.log_out(request.refresh_token)
