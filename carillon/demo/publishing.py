"""Publishing the templates: what is published already and unchanged is left alone."""

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from pydantic import JsonValue

from carillon.api import Api
from carillon.api_answers import Answer
from carillon.demo.catalogue import LANGUAGES, MARK, DemoTemplate
from carillon.setup_error import SetupError
from shared.contracts.http.templates import Template, TemplateStatus

TAKES_EFFECT_S = 1.0
"""Within this time a new version is what is sent, everywhere."""
_NOT_FOUND, _TAKEN = 404, 409


async def publish_templates(api: Api, templates: Sequence[DemoTemplate]) -> int:
    """How many new versions there are. Returns once they are what is sent.

    Raises SetupError where a code belongs to a template that is not of the demo, and Refused.
    """
    counts = await asyncio.gather(*(_publish(api, template) for template in templates))
    if any(counts):
        await asyncio.sleep(TAKES_EFFECT_S)
    return sum(counts)


async def _publish(api: Api, template: DemoTemplate) -> int:
    changed = 0
    # One after the other: the first makes the template, the others are versions of it.
    for language in LANGUAGES:
        changed += await _publish_language(api, template, language)
    return changed


async def _publish_language(api: Api, template: DemoTemplate, language: str) -> bool:
    path = f"/templates/{quote(template.code)}"
    body = _body(template, language)
    answer = await api.get(path, {"language": language})
    if answer.status == _NOT_FOUND:
        new = {**body, "code": template.code, "notification_type": template.channel.value}
        made = await api.post("/templates", new)
        if made.status != _TAKEN:
            return await _release(api, path, _read(made).version)
        answer = await api.get(path, {"language": language})  # another demo was quicker
    found = _read(answer)
    if found.notification_type != template.channel or (found.variables_schema or {}).get("$comment") != MARK:
        raise SetupError(
            f"The template {template.code} that is here already is not the demo's, so the demo leaves it "
            "alone: run it in an installation of its own (CARILLON_HOME, CARILLON_PORT_OFFSET)."
        )
    same = {field: getattr(found, field) for field in body} == body
    if same and found.status is TemplateStatus.PUBLISHED:
        return False
    version = found.version if same else _read(await api.put(path, body)).version
    return await _release(api, path, version)


async def _release(api: Api, path: str, version: int) -> bool:
    _read(await api.post(f"{path}/versions/{version}/publish"))
    return True


def _read(answer: Answer) -> Template:
    answer.require()
    return Template.model_validate_json(answer.body)


def _body(template: DemoTemplate, language: str) -> dict[str, JsonValue]:
    text = template.texts[language]
    return {
        "name": template.name,
        "language": language,
        "subject": text.subject,
        "body": text.body,
        "text_body": text.text_body,
        "variables_schema": dict(template.variables_schema),
    }
