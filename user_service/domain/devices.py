"""Devices: what is registered, and how many."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.http.base import PageQuery
from shared.contracts.http.users import Device, DevicePage, NewDevice
from shared.process.identifiers import uuid7
from user_service.domain import users
from user_service.domain.pages import cut
from user_service.storage import devices
from user_service.storage.recipients import device_digest
from user_service.storage.tables import DeviceRow

MAX_DEVICES = 100


class TooManyDevices(Exception):
    """A user has at most 100."""


class DeviceUnknown(Exception):
    """The user has no such device."""


async def register(session: AsyncSession, user_id: UUID, new: NewDevice) -> tuple[Device, bool]:
    """The device as it is kept now, and whether it is new to the user. Raises UserUnknown and
    TooManyDevices; the transaction is then to be rolled back."""
    await users.require(session, user_id, lock=True)
    subscription = new.subscription
    row, is_new = await devices.put(
        session,
        DeviceRow(
            id=uuid7(),
            user_id=user_id,
            platform=new.platform,
            token=new.token,
            subscription=None if subscription is None else subscription.model_dump(mode="json"),
            digest=device_digest(new.token or (subscription.endpoint if subscription else "")),
        ),
    )
    if is_new and await devices.count(session, user_id) > MAX_DEVICES:
        raise TooManyDevices
    return _as_body(row), is_new


async def read_page(session: AsyncSession, user_id: UUID, wanted: PageQuery) -> DevicePage:
    """Raises UserUnknown."""
    await users.require(session, user_id)
    rows = await devices.newest(session, user_id, limit=wanted.limit + 1, before=wanted.before)
    page, next_cursor = cut(rows, wanted.limit)
    return DevicePage(items=tuple(_as_body(row) for row in page), next_cursor=next_cursor)


async def remove(session: AsyncSession, user_id: UUID, device_id: UUID) -> None:
    """Raises DeviceUnknown."""
    if not await devices.remove(session, user_id, device_id):
        raise DeviceUnknown


def _as_body(row: DeviceRow) -> Device:
    return Device.model_validate(
        {
            "id": row.id,
            "platform": row.platform,
            "token": row.token,
            "subscription": row.subscription,
            "created_at": row.created_at,
        }
    )
