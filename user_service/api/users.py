"""Recipients, their preferences and their devices. Who may do what is decided at the gateway."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

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
from shared.web.parts import Session
from user_service.api.parts import CurrentParts
from user_service.domain import devices, preferences, users

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_user(new: NewUser, parts: CurrentParts) -> User:
    """The password is hashed before a transaction is opened."""
    password_hash = None if new.password is None else await parts.passwords.hash(new.password)
    async with parts.database.session() as session:
        return await users.create(session, new, password_hash=password_hash)


@router.get("")
async def list_users(wanted: Annotated[UserFilter, Query()], session: Session) -> UserPage:
    """Newest first."""
    return await users.read_page(session, wanted)


@router.get("/{user_id}")
async def read_user(user_id: UUID, session: Session) -> User:
    """One recipient."""
    return await users.read(session, user_id)


@router.patch("/{user_id}")
async def change_user(
    user_id: UUID, wanted: UserChange, session: Session, origin: users.Origin = "organisation"
) -> User:
    """`origin`: who vouches for a new address."""
    return await users.change(session, user_id, wanted, origin=origin)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def erase_user(user_id: UUID, session: Session) -> None:
    """Erases personal data for good."""
    await users.erase(session, user_id)


@router.get("/{user_id}/preferences")
async def read_preferences(user_id: UUID, session: Session) -> Preferences:
    """What the person wants to get."""
    return await preferences.read(session, user_id)


@router.put("/{user_id}/preferences")
async def replace_preferences(user_id: UUID, wanted: Preferences, session: Session) -> Preferences:
    """All of it anew."""
    return await preferences.replace(session, user_id, wanted)


@router.patch("/{user_id}/preferences")
async def change_preferences(user_id: UUID, change: PreferencesChange, session: Session) -> Preferences:
    """Merged into what is there; of two at once neither is lost."""
    return await preferences.change(session, user_id, change)


@router.post("/{user_id}/devices", status_code=status.HTTP_201_CREATED)
async def register_device(user_id: UUID, new: NewDevice, session: Session, response: Response) -> Device:
    """200 where the user has it already."""
    device, is_new = await devices.register(session, user_id, new)
    if not is_new:
        response.status_code = status.HTTP_200_OK
    return device


@router.get("/{user_id}/devices")
async def list_devices(user_id: UUID, wanted: Annotated[PageQuery, Query()], session: Session) -> DevicePage:
    """Newest first."""
    return await devices.read_page(session, user_id, wanted)


@router.delete("/{user_id}/devices/{device_id}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_device(user_id: UUID, device_id: UUID, session: Session) -> None:
    """Nothing more is pushed to it."""
    await devices.remove(session, user_id, device_id)
