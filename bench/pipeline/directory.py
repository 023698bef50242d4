"""The service that knows users, preferences and templates."""

import uuid
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from pipeline.database import SessionLocal, Template, User

app = FastAPI(title="Directory")


class PreferencesOut(BaseModel):
    """What a user wants to get."""

    model_config = ConfigDict(from_attributes=True)

    email_enabled: bool
    push_enabled: bool
    categories: dict[str, Any]


class UserOut(BaseModel):
    """A user, preferences included."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    email: str
    language: str
    preferences: PreferencesOut


class TemplateOut(BaseModel):
    """A template in one language."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    language: str
    version: int
    subject: str
    body: str
    text_body: str


def session() -> Iterator[Session]:
    """One for each request."""
    with SessionLocal() as opened:
        yield opened


@app.get("/users/{user_id}")
def user(user_id: uuid.UUID, session: Annotated[Session, Depends(session)]) -> UserOut:
    """By id."""
    found = session.get(User, user_id)
    if found is None:
        raise HTTPException(404, "No such user")
    return UserOut.model_validate(found)


@app.get("/templates/{code}")
def template(code: str, session: Annotated[Session, Depends(session)], language: str = "en") -> TemplateOut:
    """By code and language."""
    found = session.get(Template, (code, language))
    if found is None:
        raise HTTPException(404, "No such template")
    return TemplateOut.model_validate(found)


@app.get("/health")
def health() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}
