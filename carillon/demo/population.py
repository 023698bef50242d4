"""Making the people known: a recipient with a device for each, over the public API."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from carillon.api import Api
from carillon.demo.people import Person

_TAKEN = 409


class _User(msgspec.Struct, frozen=True):
    id: UUID


class _UserPage(msgspec.Struct, frozen=True):
    items: tuple[_User]


async def create_recipients(
    api: Api, people: Sequence[Person], *, advance: Callable[[], None]
) -> Mapping[str, UUID]:
    """The ids by `external_id`. `advance` is called for each. Raises Refused."""

    async def create(person: Person) -> tuple[str, UUID]:
        made = await api.post(
            "/users",
            {
                "name": person.name,
                "email": person.email,
                "external_id": person.external_id,
                "language": person.home.tag,
                "timezone": person.home.zone,
            },
        )
        # Asked twice, where the first answer was lost: there already is what was to be made.
        user_id = await _find(api, person) if made.status == _TAKEN else made.as_(_User).id
        device = {"platform": person.platform, "token": person.token}
        (await api.post(f"/users/{user_id}/devices", device)).require()
        advance()
        return person.external_id, user_id

    return dict(await asyncio.gather(*(create(person) for person in people)))


async def _find(api: Api, person: Person) -> UUID:
    found = await api.get("/users", {"external_id": person.external_id})
    return found.as_(_UserPage).items[0].id
