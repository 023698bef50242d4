"""Firebase Cloud Messaging, HTTP v1 API (firebase.google.com/docs/cloud-messaging/send/v1-api)."""

from push_service.providers.fcm.credentials import ServiceAccount, read_service_account
from push_service.providers.fcm.provider import FcmProvider

__all__ = ["FcmProvider", "ServiceAccount", "read_service_account"]
