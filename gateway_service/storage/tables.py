"""The tables as SQLAlchemy knows them, for ordinary reads; migrations/ makes them."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Times are aware, and structured columns are jsonb."""

    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


class NotificationRow(Base):
    """What is shown of a notification: neither its address nor its variables nor its content."""

    __tablename__ = "notifications"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[UUID]
    user_id: Mapped[UUID | None]
    notification_type: Mapped[str]
    template_code: Mapped[str | None]
    template_version: Mapped[int | None]
    language: Mapped[str | None]
    priority: Mapped[int]
    category: Mapped[str]
    # `metadata` is taken by SQLAlchemy.
    given_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    status: Mapped[str]
    error: Mapped[str | None]
    error_kind: Mapped[str | None]
    possible_duplicate: Mapped[bool]
    scheduled_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    test: Mapped[bool]
    batch_id: Mapped[UUID | None]
    event_id: Mapped[str | None]
    correlation_id: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    timeline: Mapped[list[dict[str, Any]]] = mapped_column(deferred=True)


class TargetRow(Base):
    """What is shown of one address or device of a run."""

    __tablename__ = "targets"

    notification_id: Mapped[UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    attempts: Mapped[list[dict[str, Any]]]
