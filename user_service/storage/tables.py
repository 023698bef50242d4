"""The tables of `user_db`; the migrations make them, a test holds the two together.

One person is one row of `users`; whoever has a `password_hash` is an account and can log in. An erased
person stays as a row without data, so that no id is ever given to somebody else.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The metadata of `user_db`."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
    }


class UserRow(Base):
    """`email_key` is the address in lower case. `email_origin`: who vouches for the address; `verified` is
    the person's proof, `organisation` came through `users:write`, `self` is the person's bare word."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email_origin IN ('verified', 'organisation', 'self')", name="users_email_origin"),
        CheckConstraint("role IN ('user', 'operator', 'admin')", name="users_role"),
        Index(
            "users_account_email",
            "email_key",
            unique=True,
            postgresql_where=text("password_hash IS NOT NULL"),
        ),
        Index("users_email", "email_key"),
        Index("users_external_id", "external_id", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str | None]
    email_key: Mapped[str | None]
    email_origin: Mapped[str]
    phone: Mapped[str | None]
    slack_id: Mapped[str | None]
    external_id: Mapped[str | None]
    language: Mapped[str | None]
    timezone: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    erased_at: Mapped[datetime | None]


class PreferencesRow(Base):
    """Written with the first change; a person without a row has the defaults. `enabled` names each
    channel, `quiet_start` and `quiet_end` are both there or both not."""

    __tablename__ = "preferences"
    __table_args__ = (
        CheckConstraint("(quiet_start IS NULL) = (quiet_end IS NULL)", name="preferences_quiet_hours"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    enabled: Mapped[dict[str, bool]] = mapped_column(JSONB)
    categories: Mapped[dict[str, dict[str, bool]]] = mapped_column(JSONB)
    quiet_start: Mapped[str | None]
    quiet_end: Mapped[str | None]


class DeviceRow(Base):
    """`digest` is the SHA-256 of the token or of the subscription's endpoint: a device is known by it."""

    __tablename__ = "devices"
    __table_args__ = (
        Index("devices_digest", "digest", unique=True),
        Index("devices_user", "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    platform: Mapped[str]
    token: Mapped[str | None]
    subscription: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    digest: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKeyRow(Base):
    """`digest` is the SHA-256 of the secret, which has 256 bits of its own and so needs no salt."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("kind IN ('live', 'test')", name="api_keys_kind"),
        Index("api_keys_digest", "digest", unique=True),
        Index("api_keys_owner", "owner", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    digest: Mapped[bytes]
    hint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RefreshTokenRow(Base):
    """A family starts with a login; each refresh uses one token up and adds the next. Using one twice
    means that it was stolen, and ends the family: its rows are deleted."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index("refresh_tokens_family", "family_id"),
        Index("refresh_tokens_user", "user_id", "expires_at"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    family_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
