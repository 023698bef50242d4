"""What the gateway and the workers fetch: one statement each, past the ORM."""

from collections.abc import Sequence

from shared.contracts.channels import Channel
from shared.contracts.templates import TemplateVersion
from shared.database.engine import Connection

_COLUMNS = """
    SELECT t.code, t.notification_type, v.number, v.language, v.subject, v.body, v.text_body,
           v.required_variables, v.variables_schema
      FROM templates t JOIN template_versions v ON v.template_id = t.id
     WHERE t.code = $1
"""
_RELEASE = (
    _COLUMNS
    + """
       AND t.archived_at IS NULL AND v.status = 'published' AND v.language = ANY($2::text[])
     ORDER BY array_position($2::text[], v.language) LIMIT 1
"""
)
_VERSION = _COLUMNS + "AND v.number = $2 AND v.published_at IS NOT NULL"


async def released(connection: Connection, code: str, languages: Sequence[str]) -> TemplateVersion | None:
    """What is published in the first of `languages` that has something."""
    return _version(await connection.fetchrow(_RELEASE, code, languages))


async def pinned(connection: Connection, code: str, number: int) -> TemplateVersion | None:
    """A version that is published, or was once: of a deleted template as well, since what was accepted
    before is still to be sent."""
    return _version(await connection.fetchrow(_VERSION, code, number))


def _version(row: Connection) -> TemplateVersion | None:
    if row is None:
        return None
    return TemplateVersion(
        code=row["code"],
        channel=Channel(row["notification_type"]),
        version=row["number"],
        language=row["language"],
        subject=row["subject"],
        body=row["body"],
        text_body=row["text_body"],
        required_variables=tuple(row["required_variables"]),
        variables_schema=row["variables_schema"],
    )
