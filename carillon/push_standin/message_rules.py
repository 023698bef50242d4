"""What FCM takes as a message: the fields of its HTTP v1 reference, and nothing else.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages. Names are taken in camelCase and
in snake_case, as proto3's JSON mapping says.
"""

import re
from collections.abc import Callable, Mapping

from carillon.push_standin.errors import Refused, Violation, invalid_argument

LONGEST_PAYLOAD_BYTES = 4096

_Kind = str | tuple[str, ...]

# A kind is a scalar, `map` (of strings), `struct` (any JSON object), `[kind]`, an enum, or another message.
_MESSAGES: dict[str, dict[str, _Kind]] = {
    "SendMessageRequest": {"message": "Message", "validateOnly": "boolean"},
    "Message": {
        "name": "string", "data": "map", "notification": "Notification", "android": "AndroidConfig",
        "webpush": "WebpushConfig", "apns": "ApnsConfig", "fcmOptions": "FcmOptions", "token": "string",
        "topic": "string", "condition": "string", "fid": "string",
    },
    "Notification": {"title": "string", "body": "string", "image": "string"},
    "FcmOptions": {"analyticsLabel": "string"},
    "AndroidConfig": {
        "collapseKey": "string", "priority": ("NORMAL", "HIGH", "normal", "high"), "ttl": "duration",
        "restrictedPackageName": "string", "data": "map", "notification": "AndroidNotification",
        "fcmOptions": "FcmOptions", "directBootOk": "boolean", "bandwidthConstrainedOk": "boolean",
        "restrictedSatelliteOk": "boolean",
    },
    "AndroidNotification": {
        "title": "string", "body": "string", "icon": "string", "color": "string", "sound": "string",
        "tag": "string", "clickAction": "string", "bodyLocKey": "string", "bodyLocArgs": "[string]",
        "titleLocKey": "string", "titleLocArgs": "[string]", "channelId": "string", "ticker": "string",
        "sticky": "boolean", "eventTime": "string", "localOnly": "boolean",
        "notificationPriority": (
            "PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH",
            "PRIORITY_MAX",
        ),
        "defaultSound": "boolean", "defaultVibrateTimings": "boolean", "defaultLightSettings": "boolean",
        "vibrateTimings": "[duration]",
        "visibility": ("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
        "notificationCount": "integer", "lightSettings": "struct", "image": "string",
        "bypassProxyNotification": "boolean",
        "proxy": ("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
    },
    "WebpushConfig": {
        "headers": "map", "data": "map", "notification": "struct", "fcmOptions": "WebpushFcmOptions",
    },
    "WebpushFcmOptions": {"link": "string", "analyticsLabel": "string"},
    "ApnsConfig": {
        "headers": "map", "payload": "struct", "fcmOptions": "ApnsFcmOptions", "liveActivityToken": "string",
    },
    "ApnsFcmOptions": {"analyticsLabel": "string", "image": "string"},
}  # fmt: skip

_SCALARS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "duration": lambda value: isinstance(value, str) and re.fullmatch(r"\d+(\.\d{1,9})?s", value) is not None,
    "struct": lambda value: isinstance(value, Mapping),
}
_RESERVED_DATA_KEYS = re.compile(r"(from|message_type|google\..*|gcm\..*|gcm)", re.I)


def check_request(request: object) -> None:
    """Raises Refused with INVALID_ARGUMENT for what FCM would refuse."""
    if not isinstance(request, Mapping):
        raise _invalid("Invalid JSON payload received. The root is not an object.")
    violations = _violations(request, kind="SendMessageRequest", path="")
    if violations:
        listed = "\n".join(each.description for each in violations)
        raise _invalid(listed, *violations)
    message = request.get("message")
    if not isinstance(message, Mapping):
        raise _invalid("The message is not set.", fcm=True)
    _check_target(message)
    _check_data(message.get("data", {}))


def _invalid(message: str, *violations: Violation, fcm: bool = False) -> Refused:
    return Refused(invalid_argument(message, *violations, fcm=fcm))


def _check_target(message: Mapping[str, object]) -> None:
    targets = [name for name in ("token", "topic", "condition", "fid") if message.get(name)]
    if len(targets) != 1:
        raise _invalid(
            "Recipient of the message is not set." if not targets else "More than one target is set.",
            Violation(field="message", description="Exactly one of token, topic and condition is required."),
            fcm=True,
        )


def _check_data(data: object) -> None:
    if not isinstance(data, Mapping):
        return
    for key in data:
        if _RESERVED_DATA_KEYS.fullmatch(str(key)):
            raise _invalid(
                f"Invalid data payload key: {key}",
                Violation(field="message.data", description=f"Invalid data payload key: {key}"),
                fcm=True,
            )
    if sum(len(str(key).encode()) + len(str(value).encode()) for key, value in data.items()) > (
        LONGEST_PAYLOAD_BYTES
    ):
        raise _invalid("Android message is too big", fcm=True)


def _violations(value: Mapping[object, object], *, kind: str, path: str) -> list[Violation]:
    fields = _MESSAGES[kind]
    names = {name: name for name in fields} | {_snake_case(name): name for name in fields}
    place = f" at '{path}'" if path else ""
    found = []
    for given, content in value.items():
        here = f"{path}.{given}" if path else str(given)
        if given not in names:
            found.append(
                Violation(
                    field=path,
                    description=f'Invalid JSON payload received. Unknown name "{given}"'
                    f"{place}: Cannot find field.",
                )
            )
        elif content is not None:
            found += _value_violations(content, kind=fields[names[str(given)]], path=here)
    return found


def _value_violations(value: object, *, kind: _Kind, path: str) -> list[Violation]:
    if isinstance(kind, tuple):
        return [] if value in kind else [_wrong(value, path=path, kind="enum")]
    if kind.startswith("["):
        if not isinstance(value, list):
            return [_wrong(value, path=path, kind=kind)]
        return [each for item in value for each in _value_violations(item, kind=kind[1:-1], path=path)]
    if kind == "map":
        fine = isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
        return [] if fine else [_wrong(value, path=path, kind="map of strings")]
    if kind in _SCALARS:
        return [] if _SCALARS[kind](value) else [_wrong(value, path=path, kind=kind)]
    if not isinstance(value, Mapping):
        return [_wrong(value, path=path, kind=kind)]
    return _violations(value, kind=kind, path=path)


def _wrong(value: object, *, path: str, kind: str) -> Violation:
    return Violation(field=path, description=f"Invalid value at '{path}' ({kind}), {value!r:.100}")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
