"""The request body of `messages:send`.

A second copy of a notification, sent after a doubt, takes the place of the first on the device instead of
standing beside it: the same tag (Android), collapse id (APNs, 64 bytes) and topic (Web Push, 32 characters).
"""

import msgspec

from shared.contracts.categories import policy_of
from shared.contracts.channels import PushContent
from shared.delivery.provider import ProviderCall


class _Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str = ""
    body: str = ""


class _AndroidNotification(msgspec.Struct, frozen=True, kw_only=True):
    tag: str


class _Android(msgspec.Struct, frozen=True, kw_only=True):
    priority: str
    notification: _AndroidNotification


class _Headers(msgspec.Struct, frozen=True, kw_only=True):
    headers: dict[str, str]


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    notification: _Notification
    data: dict[str, str]
    android: _Android
    apns: _Headers
    webpush: _Headers


class _SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    message: _Message


def request_body(call: ProviderCall[PushContent]) -> bytes:
    """The JSON for one notification to one device."""
    urgent = policy_of(call.category).urgent_push
    same = call.notification_id.hex
    return msgspec.json.encode(
        _SendRequest(
            message=_Message(
                token=call.target.address,
                notification=_Notification(title=call.content.title, body=call.content.body),
                data={"notification_id": str(call.notification_id)},
                android=_Android(
                    priority="HIGH" if urgent else "NORMAL", notification=_AndroidNotification(tag=same)
                ),
                apns=_Headers(headers={"apns-priority": "10" if urgent else "5", "apns-collapse-id": same}),
                webpush=_Headers(headers={"Urgency": "high" if urgent else "normal", "Topic": same}),
            )
        )
    )
