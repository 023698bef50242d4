"""Templates, their versions and previews. Who may do what is decided at the gateway."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from shared.contracts.http.base import PageQuery
from shared.contracts.http.notifications import TemplateCode
from shared.contracts.http.templates import (
    NewTemplate,
    NewTemplateVersion,
    Preview,
    PreviewRequest,
    Template,
    TemplateFilter,
    TemplatePage,
    TemplateVersionPage,
    VersionChoice,
    VersionNumber,
)
from shared.web.parts import Session
from template_service.api.parts import CurrentParts
from template_service.domain import previews, templates
from template_service.domain.checking import check_text

router = APIRouter(prefix="/templates", tags=["templates"])
Code = Annotated[TemplateCode, Path()]
Number = Annotated[VersionNumber, Path()]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_template(new: NewTemplate, parts: CurrentParts, response: Response) -> Template:
    """Checked before a transaction is opened."""
    checked = await check_text(new, new.notification_type)
    async with parts.database.session() as session:
        template = await templates.create(session, new, checked)
    response.headers["Location"] = f"/api/v1/templates/{template.code}"
    return template


@router.get("")
async def list_templates(
    wanted: Annotated[TemplateFilter, Query()], session: Session, parts: CurrentParts
) -> TemplatePage:
    """Newest first."""
    return await templates.read_page(session, wanted, default_language=parts.default_language)


@router.get("/{code}")
async def read_template(
    code: Code, choice: Annotated[VersionChoice, Query()], session: Session, parts: CurrentParts
) -> Template:
    """One version of it."""
    return await templates.read(session, code, choice, default_language=parts.default_language)


@router.put("/{code}")
async def add_version(code: Code, new: NewTemplateVersion, parts: CurrentParts) -> Template:
    """A further draft. The channel is fixed, so it may be read in a transaction of its own."""
    async with parts.database.session() as session:
        channel = await templates.channel_of(session, code)
    templates.check_fit(new, channel)
    checked = await check_text(new, channel)
    async with parts.database.session() as session:
        return await templates.add_version(session, code, new, checked)


@router.get("/{code}/versions")
async def list_versions(
    code: Code, wanted: Annotated[PageQuery, Query()], session: Session
) -> TemplateVersionPage:
    """Newest first."""
    return await templates.read_versions(session, code, limit=wanted.limit, before=wanted.before)


@router.post("/{code}/versions/{number}/publish")
async def publish_version(code: Code, number: Number, parts: CurrentParts) -> Template:
    """Announced once it is committed."""
    async with parts.database.session() as session:
        template = await templates.publish(session, code, number)
    parts.announcements.template_changed(code)
    return template


@router.delete("/{code}", status_code=status.HTTP_204_NO_CONTENT)
async def remove_template(code: Code, parts: CurrentParts) -> None:
    """Announced once it is committed."""
    async with parts.database.session() as session:
        await templates.remove(session, code)
    parts.announcements.template_changed(code)


@router.post("/{code}/preview")
async def preview_template(code: Code, wanted: PreviewRequest, parts: CurrentParts) -> Preview:
    """No database session is held while the template is rendered."""
    async with parts.database.session() as session:
        template = await templates.read(session, code, wanted, default_language=parts.default_language)
    return await previews.preview(parts.renderer, template, dict(wanted.variables))
