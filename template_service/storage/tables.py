"""The tables of `template_db`; the migrations make them, a test holds the two together."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The metadata of `template_db`."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        datetime: DateTime(timezone=True),
    }


class TemplateRow(Base):
    """`last_version` is the number given out last: numbers are never used twice, since notifications are
    pinned to them. A deleted template that was ever published stays, with `archived_at`."""

    __tablename__ = "templates"
    __table_args__ = (Index("templates_code", "code", unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    notification_type: Mapped[str]
    last_version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    archived_at: Mapped[datetime | None]


class VersionRow(Base):
    """A version of a template. Only `status` and `published_at` ever change."""

    __tablename__ = "template_versions"
    __table_args__ = (
        CheckConstraint("status IN ('draft', 'published', 'archived')", name="template_versions_status"),
        Index("template_versions_number", "template_id", "number", unique=True),
        Index(
            "template_versions_published",
            "template_id",
            "language",
            unique=True,
            postgresql_where=text("status = 'published'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    template_id: Mapped[UUID] = mapped_column(ForeignKey("templates.id", ondelete="CASCADE"))
    number: Mapped[int]
    language: Mapped[str]
    status: Mapped[str]
    subject: Mapped[str | None]
    body: Mapped[str]
    text_body: Mapped[str | None]
    required_variables: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    variables_schema: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]
