"""Templates: numbered versions, of which one per language is published."""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.channels import Channel
from shared.contracts.http.base import encode_cursor
from shared.contracts.http.templates import (
    NewTemplate,
    NewTemplateVersion,
    Template,
    TemplateFilter,
    TemplatePage,
    TemplateStatus,
    TemplateSummary,
    TemplateText,
    TemplateVersionPage,
    VersionChoice,
    misfit,
)
from shared.process.identifiers import uuid7
from template_service.domain.checking import CheckedText, TextRefused
from template_service.domain.languages import fallback
from template_service.storage import templates
from template_service.storage.tables import TemplateRow, VersionRow


class TemplateUnknown(Exception):
    """There is no such template, or no such version of it."""


class TypeFixed(Exception):
    """A deleted template with this code was of another notification_type, and versions of it may still
    be on their way."""


async def create(session: AsyncSession, new: NewTemplate, checked: CheckedText) -> Template:
    """A template with its first version, a draft. The code of a deleted one may be used again: its
    versions go on counting. Raises templates.CodeTaken and TypeFixed."""
    template = await templates.find(session, new.code, lock=True, archived=True)
    if template is None:
        template = TemplateRow(
            id=uuid7(),
            code=new.code,
            name=new.name,
            notification_type=new.notification_type.value,
            last_version=0,
        )
        await templates.add(session, template)
    elif template.archived_at is None:
        raise templates.CodeTaken
    elif template.notification_type != new.notification_type:
        raise TypeFixed
    template.name = new.name
    template.archived_at = None
    return await _add_version(session, template, new, checked)


async def add_version(
    session: AsyncSession, code: str, new: NewTemplateVersion, checked: CheckedText
) -> Template:
    """A further draft; of two at once each has a number of its own. Raises TemplateUnknown."""
    template = await _require(session, code, lock=True)
    if new.name is not None:
        template.name = new.name
    return await _add_version(session, template, new, checked)


async def channel_of(session: AsyncSession, code: str) -> Channel:
    """The channel a template is made for, which never changes. Raises TemplateUnknown."""
    return Channel((await _require(session, code)).notification_type)


async def read(session: AsyncSession, code: str, choice: VersionChoice, *, default_language: str) -> Template:
    """The version that is meant by `choice`. Raises TemplateUnknown."""
    template = await _require(session, code)
    if choice.version is not None:
        version = await templates.find_version(session, template.id, choice.version)
        if version is not None and choice.language not in (None, version.language):
            version = None
    else:
        languages = fallback(choice.language, default=default_language)
        version = await templates.find_published(session, template.id, languages)
        if version is None:
            version = await templates.newest_version(session, template.id, language=choice.language)
    if version is None:
        raise TemplateUnknown
    return _as_body(template, version)


async def read_page(session: AsyncSession, wanted: TemplateFilter, *, default_language: str) -> TemplatePage:
    """A part of the list, newest first."""
    rows = await templates.newest(
        session,
        limit=wanted.limit + 1,
        before=wanted.before,
        notification_type=wanted.notification_type,
        default_language=default_language,
    )
    items = tuple(
        TemplateSummary(
            code=row.template.code,
            name=row.template.name,
            notification_type=Channel(row.template.notification_type),
            version=row.number,
            language=row.language,
            status=TemplateStatus(row.status),
            published_languages=tuple(row.published_languages),
            created_at=row.template.created_at,
            updated_at=row.template.updated_at,
        )
        for row in rows[: wanted.limit]
    )
    return TemplatePage(items=items, next_cursor=_cursor([row.template.id for row in rows], wanted.limit))


async def read_versions(
    session: AsyncSession, code: str, *, limit: int, before: UUID | None
) -> TemplateVersionPage:
    """A part of a template's versions, newest first. Raises TemplateUnknown."""
    template = await _require(session, code)
    rows = await templates.newest_versions(session, template.id, limit=limit + 1, before=before)
    return TemplateVersionPage(
        items=tuple(_as_body(template, row) for row in rows[:limit]),
        next_cursor=_cursor([row.id for row in rows], limit),
    )


async def publish(session: AsyncSession, code: str, number: int) -> Template:
    """Send this version from now on, in its language; an older one is a rollback. Publishing what is
    published changes nothing. Raises TemplateUnknown."""
    template = await _require(session, code, lock=True)
    version = await templates.find_version(session, template.id, number)
    if version is None:
        raise TemplateUnknown
    if version.status != TemplateStatus.PUBLISHED:
        await templates.make_published(session, version)
    return _as_body(template, version)


async def remove(session: AsyncSession, code: str) -> None:
    """No more is accepted for the template; what is on its way still goes out. Raises TemplateUnknown."""
    await templates.remove(session, await _require(session, code, lock=True))


def check_fit(text: TemplateText, channel: Channel) -> None:
    """Raises TextRefused where `text` has what the channel has no use for, or lacks what it needs."""
    problem = misfit(text, channel)
    if problem is not None:
        raise TextRefused(*problem)


async def _require(session: AsyncSession, code: str, *, lock: bool = False) -> TemplateRow:
    template = await templates.find(session, code, lock=lock)
    if template is None:
        raise TemplateUnknown
    return template


async def _add_version(
    session: AsyncSession, template: TemplateRow, text: TemplateText, checked: CheckedText
) -> Template:
    template.last_version += 1
    template.updated_at = func.now()
    version = VersionRow(
        id=uuid7(),
        template_id=template.id,
        number=template.last_version,
        language=text.language,
        status=TemplateStatus.DRAFT.value,
        subject=text.subject,
        body=text.body,
        text_body=text.text_body,
        required_variables=list(checked.required_variables),
        variables_schema=text.variables_schema,
    )
    await templates.add_version(session, version)
    return _as_body(template, version)


def _cursor(ids: list[UUID], limit: int) -> str | None:
    return encode_cursor(ids[limit - 1]) if len(ids) > limit else None


def _as_body(template: TemplateRow, version: VersionRow) -> Template:
    return Template(
        code=template.code,
        name=template.name,
        notification_type=Channel(template.notification_type),
        version=version.number,
        language=version.language,
        status=TemplateStatus(version.status),
        subject=version.subject,
        body=version.body,
        text_body=version.text_body,
        variables_schema=version.variables_schema,
        required_variables=tuple(version.required_variables),
        created_at=version.created_at,
        published_at=version.published_at,
    )
