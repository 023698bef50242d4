"""What a load is sent with, made once over the public API: templates, and people with address and phone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import httpx

from carillon.setup_error import SetupError

ClientChannel = Literal["email", "push"]
TEMPLATES: Mapping[ClientChannel, str] = {"email": "proof_mail", "push": "proof_push"}
_PEOPLE = 20


def furnish(api: httpx.Client, folder: Path) -> Path:
    """Publish the templates and make the people; a file with their ids, one a line. Raises SetupError."""
    try:
        for channel, code in TEMPLATES.items():
            template = {
                "code": code,
                "name": code,
                "notification_type": channel,
                "language": "en",
                "subject": "Proof",
                "body": "{{ mark }}",
            }
            api.post("/templates", json=template).raise_for_status()
            api.post(f"/templates/{code}/versions/1/publish").raise_for_status()
        ids = [_person(api, number) for number in range(_PEOPLE)]
    except httpx.HTTPError as error:
        raise SetupError(f"Templates and people cannot be made: {error!r}.") from error
    path = folder / "people"
    path.write_text("".join(f"{each}\n" for each in ids))
    return path


def _person(api: httpx.Client, number: int) -> str:
    person = {"name": f"Person {number}", "email": f"person-{number}@example.com"}
    # Whoever signs up for promotions gets them; by default nobody does.
    wishes = {"categories": {"promotional": {"email": True, "push": True}}}
    user_id = str(api.post("/users", json=person).raise_for_status().json()["id"])
    api.patch(f"/users/{user_id}/preferences", json=wishes).raise_for_status()
    device = {"platform": "android", "token": f"phone-{number}"}
    api.post(f"/users/{user_id}/devices", json=device).raise_for_status()
    return user_id
