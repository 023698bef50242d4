"""The worker: Celery, prefork."""

import smtplib
import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate
from functools import lru_cache
from typing import Any

import requests
from celery import Celery, Task
from celery.utils.log import get_task_logger
from jinja2 import Template
from jinja2.sandbox import SandboxedEnvironment

from pipeline.database import Notification, SessionLocal
from pipeline.settings import settings

log = get_task_logger(__name__)

app = Celery("pipeline", broker=settings.broker_url)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="email",
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)
http = requests.Session()
html = SandboxedEnvironment(autoescape=True)
plain = SandboxedEnvironment(autoescape=False)


class Away(Exception):
    """The mail server or the directory did not do it this time; it may the next."""


@app.task(
    bind=True, autoretry_for=(Away,), max_retries=3, retry_backoff=1, retry_backoff_max=8, retry_jitter=True
)
def send_email(self: Task, notification_id: str) -> None:
    """Look up, render, send, write down."""
    with SessionLocal() as session:
        notification = session.get(Notification, uuid.UUID(notification_id))
        if notification is None or notification.status in ("sent", "failed", "suppressed"):
            return
        notification.attempts += 1
        try:
            user = _get(f"/users/{notification.user_id}")
            if not user["preferences"]["email_enabled"]:
                notification.status = "suppressed"
                session.commit()
                return
            template = _get(f"/templates/{notification.template_code}?language={user['language']}")
            message = _message(notification, user, template)
            with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=20) as smtp:
                smtp.send_message(message)
        except (smtplib.SMTPException, requests.RequestException, OSError) as error:
            last = self.request.retries >= self.max_retries
            notification.status = "failed" if last else "retrying"
            notification.error = str(error)
            session.commit()
            raise Away from error
        notification.status = "sent"
        notification.sent_at = datetime.now(UTC)
        session.commit()
        log.info("sent %s", notification_id)


def _get(path: str) -> dict[str, Any]:
    answer = http.get(f"{settings.directory_url}{path}", timeout=5)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@lru_cache(maxsize=256)
def _compiled(environment: SandboxedEnvironment, source: str) -> Template:
    return environment.from_string(source)


def _message(notification: Notification, user: dict[str, Any], template: dict[str, Any]) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = f"{user['name']} <{user['email']}>"
    message["Subject"] = _compiled(plain, template["subject"]).render(notification.variables)
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{notification.id}@shop.example>"
    message.set_content(_compiled(plain, template["text_body"]).render(notification.variables))
    message.add_alternative(_compiled(html, template["body"]).render(notification.variables), subtype="html")
    return message
