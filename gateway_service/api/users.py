"""Recipients, preferences and devices: who may do what is decided here, the rest in the user service."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response, status

from gateway_service.api.access import CurrentAccess, CurrentPrincipal, check_scope, require
from gateway_service.api.forwarding import HASHING_TIMEOUT_S, forward
from gateway_service.domain.access import Principal
from shared.contracts.http.auth import ROLE_SCOPES, Role, Scope
from shared.contracts.http.base import PageQuery
from shared.contracts.http.users import (
    Device,
    DevicePage,
    NewDevice,
    NewUser,
    Preferences,
    PreferencesChange,
    User,
    UserChange,
    UserFilter,
    UserPage,
)
from shared.web.openapi import problem_responses
from shared.web.problems import forbidden, not_found

router = APIRouter(prefix="/users", tags=["users"], responses=problem_responses(503))
_INTERNAL = "/internal/v1/users"

UserPath = Annotated[
    UUID | Literal["me"], Path(description="The user's id, or `me` for whoever is logged in.")
]


def _person(principal: Principal, user_id: UUID | Literal["me"], scope: Scope) -> UUID:
    """The id that is meant, where it is the caller's own or the caller has the scope. Somebody else's is
    answered as if it were not there."""
    if user_id == "me":
        if principal.user_id is None:
            raise not_found("An API key is nobody: `me` is for accounts.")
        return principal.user_id
    if principal.is_person(user_id) or principal.may(scope):
        return user_id
    if principal.user_id is None:
        # A key has nothing of its own, so there is nothing to hide from it.
        check_scope(principal, scope)
    raise not_found("There is no such user.")


def _readable(user_id: UserPath, principal: CurrentPrincipal) -> UUID:
    return _person(principal, user_id, Scope.USERS_READ)


async def _writable(user_id: UserPath, principal: CurrentPrincipal, access: CurrentAccess) -> UUID:
    """Nobody changes anything of an account that may do more than they do: an API key with `users:write`
    is not to get at an administrator's login, nor at what warns the administrator."""
    person = _person(principal, user_id, Scope.USERS_WRITE)
    if not principal.is_person(person):
        found = await forward(access.users, "GET", f"{_INTERNAL}/{person}")
        role = msgspec.json.decode(found.body, type=_WithRole).role
        if not ROLE_SCOPES[role] <= principal.scopes:
            raise forbidden("This account may do more than you, so you cannot change it.")
    return person


class _WithRole(msgspec.Struct):
    role: Role


Readable = Annotated[UUID, Depends(_readable)]
Writable = Annotated[UUID, Depends(_writable)]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=User,
    dependencies=[Depends(require(Scope.USERS_WRITE))],
    summary="Add a recipient",
    responses=problem_responses(409),
)
async def create_user(new: NewUser, access: CurrentAccess) -> Response:
    """With a `password`, the person can log in."""
    service = access.users if new.password is None else access.logins
    return await forward(
        service, "POST", _INTERNAL, body=new, location="/api/v1/users", timeout_s=HASHING_TIMEOUT_S
    )


@router.get(
    "",
    response_model=UserPage,
    dependencies=[Depends(require(Scope.USERS_READ))],
    summary="List recipients",
)
async def list_users(wanted: Annotated[UserFilter, Query()], access: CurrentAccess) -> Response:
    """Newest first."""
    return await forward(access.users, "GET", _INTERNAL, query=wanted.model_dump(exclude_none=True))


@router.get("/{user_id}", response_model=User, summary="Read a user", responses=problem_responses(404))
async def read_user(user_id: Readable, access: CurrentAccess) -> Response:
    """One's own data, or anybody's with `users:read`."""
    return await forward(access.users, "GET", f"{_INTERNAL}/{user_id}")


@router.patch(
    "/{user_id}", response_model=User, summary="Change a user", responses=problem_responses(404, 409)
)
async def change_user(
    user_id: Writable, wanted: UserChange, principal: CurrentPrincipal, access: CurrentAccess
) -> Response:
    """What is given changes; null clears. Nobody changes an account that may do more than they do."""
    vouched = principal.may(Scope.USERS_WRITE)
    if "external_id" in wanted.model_fields_set and not vouched:
        raise forbidden("Changing external_id needs the scope users:write.")
    origin = "organisation" if vouched else "self"
    return await forward(
        access.users, "PATCH", f"{_INTERNAL}/{user_id}", body=wanted, query={"origin": origin}
    )


@router.delete(
    "/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Erase a user",
    responses=problem_responses(404, 409),
)
async def erase_user(user_id: Writable, access: CurrentAccess) -> Response:
    """Erases personal data, devices, keys and logins for good; delivery records stay without it. 409: the
    last administrator stays."""
    return await forward(access.users, "DELETE", f"{_INTERNAL}/{user_id}")


@router.get(
    "/{user_id}/preferences",
    response_model=Preferences,
    summary="Read preferences",
    responses=problem_responses(404),
)
async def read_preferences(user_id: Readable, access: CurrentAccess) -> Response:
    """What the person wants to get, when, and in which language."""
    return await forward(access.users, "GET", f"{_INTERNAL}/{user_id}/preferences")


@router.put(
    "/{user_id}/preferences",
    response_model=Preferences,
    summary="Replace preferences",
    responses=problem_responses(404),
)
async def replace_preferences(user_id: Writable, wanted: Preferences, access: CurrentAccess) -> Response:
    """What is not given takes its default."""
    return await forward(access.users, "PUT", f"{_INTERNAL}/{user_id}/preferences", body=wanted)


@router.patch(
    "/{user_id}/preferences",
    response_model=Preferences,
    summary="Change preferences",
    responses=problem_responses(404),
)
async def change_preferences(user_id: Writable, wanted: PreferencesChange, access: CurrentAccess) -> Response:
    """A merge patch (RFC 7396): what is not given stays, null in `categories` removes a choice."""
    return await forward(access.users, "PATCH", f"{_INTERNAL}/{user_id}/preferences", body=wanted)


@router.post(
    "/{user_id}/devices",
    status_code=status.HTTP_201_CREATED,
    response_model=Device,
    summary="Register a device",
    responses={200: {"model": Device, "description": "Known already"}, **problem_responses(404, 409)},
)
async def register_device(user_id: Writable, new: NewDevice, access: CurrentAccess) -> Response:
    """To push to. A token is one app on one device: it moves here from whoever had it before."""
    return await forward(
        access.users,
        "POST",
        f"{_INTERNAL}/{user_id}/devices",
        body=new,
        location=f"/api/v1/users/{user_id}/devices",
    )


@router.get(
    "/{user_id}/devices",
    response_model=DevicePage,
    summary="List devices",
    responses=problem_responses(404),
)
async def list_devices(
    user_id: Readable, wanted: Annotated[PageQuery, Query()], access: CurrentAccess
) -> Response:
    """Newest first."""
    return await forward(
        access.users,
        "GET",
        f"{_INTERNAL}/{user_id}/devices",
        query=wanted.model_dump(exclude_none=True),
    )


@router.delete(
    "/{user_id}/devices/{device_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Remove a device",
    responses=problem_responses(404),
)
async def remove_device(user_id: Writable, device_id: UUID, access: CurrentAccess) -> Response:
    """Nothing more is pushed to it."""
    return await forward(access.users, "DELETE", f"{_INTERNAL}/{user_id}/devices/{device_id}")
