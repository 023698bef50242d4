"""The look-up of the workers: everything about many at once, as it is now."""

from uuid import UUID

import httpx

from shared.clients.users import UserClient
from shared.contracts.channels import Channel
from shared.contracts.recipients import Address, QuietHours, RecipientAnswer, RecipientQuestion
from shared.process.identifiers import uuid7
from tests.builders import a_registration, an_email


async def test_everything_about_a_recipient_comes_by_every_way_of_asking(
    internal: httpx.AsyncClient, user_client: UserClient
) -> None:
    email, external_id, token = an_email(), f"customer-{uuid7()}", f"token-{uuid7()}"
    user_id = await _recipient(internal, email=email, external_id=external_id, language="fr")
    await internal.patch(
        f"/users/{user_id}/preferences",
        json={
            "push_enabled": False,
            "categories": {"promotional": {"email": False}},
            "quiet_hours": {"start": "22:00", "end": "07:00"},
            "timezone": "Europe/Paris",
        },
    )
    await internal.post(f"/users/{user_id}/devices", json={"platform": "android", "token": token})
    shouted = email.upper()
    answer = await user_client.recipients(
        RecipientQuestion(
            ids=(user_id, uuid7()),
            external_ids=(external_id, "unheard-of", "\x00"),
            addresses=(
                Address(channel=Channel.EMAIL, value=shouted),
                Address(channel=Channel.PUSH, value=token),
                Address(channel=Channel.EMAIL, value="nobody@example.com"),
                Address(channel=Channel.EMAIL, value="\x00"),
            ),
        )
    )
    person = answer.by_id[str(user_id)]
    assert answer == RecipientAnswer(
        by_id={str(user_id): person},
        by_external_id={external_id: person},
        by_address={f"email:{shouted}": person, f"push:{token}": person},
    )
    assert (person.id, person.email, person.language) == (user_id, email, "fr")
    assert person.enabled["push"] is False
    assert person.enabled["email"] is True
    assert person.categories == {"promotional": {"email": False}}
    assert person.quiet_hours == QuietHours(start="22:00", end="07:00")
    assert person.timezone == "Europe/Paris"
    assert [(device.platform, device.token) for device in person.devices] == [("android", token)]


async def test_recipient_without_anything_has_no_wishes(
    internal: httpx.AsyncClient, user_client: UserClient
) -> None:
    user_id = await _recipient(internal)
    person = (await user_client.recipients(RecipientQuestion(ids=(user_id,)))).by_id[str(user_id)]
    assert (person.email, person.enabled, person.categories, person.devices) == (None, {}, {}, ())


async def test_stranger_who_registers_an_address_does_not_decide_for_the_recipient(
    internal: httpx.AsyncClient, user_client: UserClient
) -> None:
    registration = a_registration()
    stranger = UUID((await internal.post("/auth/register", json=registration)).json()["id"])
    await internal.patch(f"/users/{stranger}/preferences", json={"email_enabled": False})
    address = Address(channel=Channel.EMAIL, value=registration["email"])
    key = f"email:{registration['email']}"
    alone = await user_client.recipients(RecipientQuestion(addresses=(address,)))
    assert alone.by_address[key].id == stranger

    recipient = await _recipient(internal, email=registration["email"])
    vouched = await user_client.recipients(RecipientQuestion(addresses=(address,)))
    assert vouched.by_address[key].id == recipient


async def test_erased_person_is_unknown(internal: httpx.AsyncClient, user_client: UserClient) -> None:
    email, token = an_email(), f"token-{uuid7()}"
    user_id = await _recipient(internal, email=email)
    await internal.post(f"/users/{user_id}/devices", json={"platform": "ios", "token": token})
    await internal.delete(f"/users/{user_id}")
    answer = await user_client.recipients(
        RecipientQuestion(
            ids=(user_id,),
            addresses=(
                Address(channel=Channel.EMAIL, value=email),
                Address(channel=Channel.PUSH, value=token),
            ),
        )
    )
    assert answer == RecipientAnswer()


async def test_question_that_is_none_or_too_long_is_refused(internal: httpx.AsyncClient) -> None:
    for body in (
        {"ids": ["not an id"]},
        {"ids": [str(uuid7()) for _ in range(1_001)]},
        {"addresses": [{"channel": "pigeon", "value": "x"}]},
    ):
        answer = await internal.post("/recipients/lookup", json=body)
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"


async def _recipient(internal: httpx.AsyncClient, **fields: str) -> UUID:
    made = await internal.post("/users", json={"name": "Ann", **fields})
    assert made.status_code == 201, made.text
    return UUID(made.json()["id"])
