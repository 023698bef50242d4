"""What is to be sent, for the gateway and the workers: msgspec out, past FastAPI's own serialising."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response

from shared.contracts.http.base import LanguageTag
from shared.contracts.http.templates import VersionNumber
from shared.contracts.templates import TemplateVersion
from shared.web.problems import not_found
from template_service.api.parts import CurrentParts
from template_service.domain.languages import fallback
from template_service.storage import releases

router = APIRouter(prefix="/templates", tags=["releases"])
Code = Annotated[str, Path(max_length=64)]


@router.get("/{code}/release")
async def read_release(
    code: Code, parts: CurrentParts, language: Annotated[LanguageTag | None, Query()] = None
) -> Response:
    """What is published for the language, or what stands in for it."""
    languages = fallback(language, default=parts.default_language)
    async with parts.database.connection() as connection:
        return _answer(await releases.released(connection, code, languages))


@router.get("/{code}/versions/{number}")
async def read_version(code: Code, number: Annotated[VersionNumber, Path()], parts: CurrentParts) -> Response:
    """A version that is or was published."""
    async with parts.database.connection() as connection:
        return _answer(await releases.pinned(connection, code, number))


def _answer(version: TemplateVersion | None) -> Response:
    if version is None:
        raise not_found("There is no such published template.")
    return Response(msgspec.json.encode(version), media_type="application/json")
