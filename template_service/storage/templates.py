"""Queries on `templates` and `template_versions`."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from template_service.storage.tables import TemplateRow, VersionRow


class CodeTaken(Exception):
    """There is a template with this code."""


async def add(session: AsyncSession, template: TemplateRow) -> None:
    """Insert. Raises CodeTaken; the transaction is then of no further use."""
    session.add(template)
    try:
        await session.flush()
    except IntegrityError as error:
        raise CodeTaken from error


async def find(
    session: AsyncSession, code: str, *, lock: bool = False, archived: bool = False
) -> TemplateRow | None:
    """By code; `lock` holds the row until the end of the transaction, so that numbers and publishing go
    one after the other. Archived ones are found only if asked for."""
    query = select(TemplateRow).where(TemplateRow.code == code)
    if not archived:
        query = query.where(TemplateRow.archived_at.is_(None))
    if lock:
        query = query.with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one_or_none()


async def add_version(session: AsyncSession, version: VersionRow) -> None:
    """Insert, with the defaults of the database filled in."""
    session.add(version)
    await session.flush()
    await session.refresh(version)


async def find_version(session: AsyncSession, template_id: UUID, number: int) -> VersionRow | None:
    """By number."""
    query = select(VersionRow).where(VersionRow.template_id == template_id, VersionRow.number == number)
    return (await session.scalars(query)).one_or_none()


async def find_published(
    session: AsyncSession, template_id: UUID, languages: Sequence[str]
) -> VersionRow | None:
    """What is published in the first of `languages` that has something."""
    query = (
        select(VersionRow)
        .where(
            VersionRow.template_id == template_id,
            VersionRow.status == "published",
            VersionRow.language.in_(languages),
        )
        .order_by(_position(languages))
        .limit(1)
    )
    return (await session.scalars(query)).one_or_none()


async def newest_version(
    session: AsyncSession, template_id: UUID, *, language: str | None = None
) -> VersionRow | None:
    """With the highest number; of a language, where one is named."""
    query = select(VersionRow).where(VersionRow.template_id == template_id)
    if language is not None:
        query = query.where(VersionRow.language == language)
    return (await session.scalars(query.order_by(VersionRow.number.desc()).limit(1))).one_or_none()


async def newest_versions(
    session: AsyncSession, template_id: UUID, *, limit: int, before: UUID | None
) -> Sequence[VersionRow]:
    """At most `limit`, newest first, older than `before`."""
    query = select(VersionRow).where(VersionRow.template_id == template_id)
    if before is not None:
        query = query.where(VersionRow.id < before)
    return (await session.scalars(query.order_by(VersionRow.id.desc()).limit(limit))).all()


async def make_published(session: AsyncSession, version: VersionRow) -> None:
    """Publish `version`, in place of what is published in its language. The template is locked."""
    await session.execute(
        update(VersionRow)
        .where(
            VersionRow.template_id == version.template_id,
            VersionRow.language == version.language,
            VersionRow.status == "published",
        )
        .values(status="archived")
    )
    await session.execute(
        update(VersionRow)
        .where(VersionRow.id == version.id)
        .values(status="published", published_at=func.now())
    )
    await session.refresh(version)


async def remove(session: AsyncSession, template: TemplateRow) -> None:
    """Archive a template with all its versions; one that was never published is deleted, since nothing
    can be pinned to it."""
    was_published = exists().where(
        VersionRow.template_id == template.id, VersionRow.published_at.is_not(None)
    )
    if not await session.scalar(select(was_published)):
        await session.execute(delete(TemplateRow).where(TemplateRow.id == template.id))
        return
    await session.execute(
        update(VersionRow).where(VersionRow.template_id == template.id).values(status="archived")
    )
    await session.execute(
        update(TemplateRow)
        .where(TemplateRow.id == template.id)
        .values(archived_at=func.now(), updated_at=func.now())
    )


class Summary(NamedTuple):
    """A template with the version that stands for it and the languages it is published in."""

    template: TemplateRow
    number: int
    language: str
    status: str
    published_languages: list[str]


async def newest(
    session: AsyncSession,
    *,
    limit: int,
    before: UUID | None,
    notification_type: str | None,
    default_language: str,
) -> list[Summary]:
    """At most `limit`, newest first, older than `before`."""
    query = select(TemplateRow).where(TemplateRow.archived_at.is_(None))
    if before is not None:
        query = query.where(TemplateRow.id < before)
    if notification_type is not None:
        query = query.where(TemplateRow.notification_type == notification_type)
    templates = (await session.scalars(query.order_by(TemplateRow.id.desc()).limit(limit))).all()
    published = VersionRow.status == "published"
    default_first = case((published & (VersionRow.language == default_language), 0), else_=1)
    versions = (
        select(VersionRow.template_id, VersionRow.number, VersionRow.language, VersionRow.status)
        .where(VersionRow.template_id.in_([template.id for template in templates]))
        .ext(distinct_on(VersionRow.template_id))
        .order_by(VersionRow.template_id, default_first, VersionRow.number.desc())
    )
    shown = {row.template_id: row for row in await session.execute(versions)}
    languages: dict[UUID, list[str]] = {}
    for row in await session.execute(
        select(VersionRow.template_id, VersionRow.language)
        .where(VersionRow.template_id.in_(list(shown)), published)
        .order_by(VersionRow.language)
    ):
        languages.setdefault(row.template_id, []).append(row.language)
    return [
        Summary(
            template=template,
            number=shown[template.id].number,
            language=shown[template.id].language,
            status=shown[template.id].status,
            published_languages=languages.get(template.id, []),
        )
        for template in templates
        if template.id in shown  # one deleted in between has none
    ]


def _position(languages: Sequence[str]) -> ColumnElement[int]:
    return case({language: place for place, language in enumerate(languages)}, value=VersionRow.language)
