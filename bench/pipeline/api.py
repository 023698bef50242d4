"""The way in: POST /api/v1/notifications."""

import hashlib
import logging
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pipeline.database import Notification, SessionLocal
from pipeline.settings import settings
from pipeline.tasks import send_email

logging.basicConfig(level=settings.log_level)
log = logging.getLogger("pipeline.api")

REQUESTS = Counter("http_requests_total", "Requests.", ["method", "path", "status"])
SECONDS = Histogram("http_request_seconds", "Time to answer.", ["method", "path"])

app = FastAPI(title="Notifications")
bearer = HTTPBearer()


class NotificationIn(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    user_id: uuid.UUID
    notification_type: str = Field(pattern="^email$")
    template_code: str = Field(max_length=64)
    variables: dict[str, Any] = {}
    priority: int = Field(default=5, ge=1, le=10)


class NotificationOut(BaseModel):
    """What is answered."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    status: str
    user_id: uuid.UUID
    notification_type: str
    template_code: str
    created_at: datetime


def session() -> Iterator[Session]:
    """One for each request."""
    with SessionLocal() as opened:
        yield opened


def authorized(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> None:
    """Refuse everybody without the key."""
    if not secrets.compare_digest(credentials.credentials, settings.api_key):
        raise HTTPException(401, "Unknown API key")


@app.middleware("http")
async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count and time each request."""
    started = time.perf_counter()
    response = await call_next(request)
    path = request.url.path
    SECONDS.labels(request.method, path).observe(time.perf_counter() - started)
    REQUESTS.labels(request.method, path, response.status_code).inc()
    return response


@app.post("/api/v1/notifications", status_code=202, dependencies=[Depends(authorized)])
def create(
    body: NotificationIn,
    session: Annotated[Session, Depends(session)],
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> NotificationOut:
    """Store it, and queue it once it is stored."""
    fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    if idempotency_key is not None and (first := _find(session, idempotency_key)) is not None:
        return _replayed(first, fingerprint)
    notification = Notification(
        idempotency_key=idempotency_key, fingerprint=fingerprint, **body.model_dump(mode="python")
    )
    session.add(notification)
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        first = _find(session, idempotency_key or "")
        if first is None:
            raise
        return _replayed(first, fingerprint)
    send_email.delay(str(notification.id))
    log.info("accepted %s", notification.id)
    return NotificationOut.model_validate(notification)


@app.get("/health")
def health() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@app.get("/metrics")
def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _find(session: Session, key: str) -> Notification | None:
    return session.scalar(select(Notification).where(Notification.idempotency_key == key))


def _replayed(first: Notification, fingerprint: str) -> NotificationOut:
    if first.fingerprint != fingerprint:
        raise HTTPException(422, "The same idempotency key came with another body")
    return NotificationOut.model_validate(first)
