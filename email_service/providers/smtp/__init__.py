"""Mail over SMTP (RFC 5321) to one mail server, over kept connections."""

from email_service.providers.smtp.provider import SmtpProvider
from email_service.providers.smtp.session import SmtpServer

__all__ = ["SmtpProvider", "SmtpServer"]
