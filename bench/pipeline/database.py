"""Models, and the engine of this process."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, String, Text, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

from pipeline.settings import settings


class Base(DeclarativeBase):
    """The metadata."""


def _now() -> datetime:
    return datetime.now(UTC)


class User(Base):
    """A recipient."""

    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), index=True)
    language: Mapped[str] = mapped_column(String(10), default="en")
    preferences: Mapped["Preferences"] = relationship(lazy="joined", innerjoin=True)


class Preferences(Base):
    """What a recipient wants to get."""

    __tablename__ = "preferences"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    email_enabled: Mapped[bool] = mapped_column(default=True)
    push_enabled: Mapped[bool] = mapped_column(default=True)
    categories: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)


class Template(Base):
    """A published template."""

    __tablename__ = "templates"

    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    language: Mapped[str] = mapped_column(String(10), primary_key=True)
    version: Mapped[int]
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    text_body: Mapped[str] = mapped_column(Text)


class Notification(Base):
    """One notification and what became of it."""

    __tablename__ = "notifications"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    idempotency_key: Mapped[str | None] = mapped_column(String(255), unique=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[uuid.UUID] = mapped_column(index=True)
    notification_type: Mapped[str] = mapped_column(String(20))
    template_code: Mapped[str] = mapped_column(String(64))
    variables: Mapped[dict[str, Any]] = mapped_column(JSON)
    priority: Mapped[int]
    status: Mapped[str] = mapped_column(String(20), default="queued", index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


engine = create_engine(settings.database_url, pool_size=20, max_overflow=20, pool_pre_ping=False)
SessionLocal = sessionmaker(engine, expire_on_commit=False)
