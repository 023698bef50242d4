"""What `carillon up` prints once everything runs: addresses, credentials, a first notification."""

from collections.abc import Mapping

from carillon.onboarding import FirstCredentials
from carillon.settings import MAILBOX, PUSH_STANDIN

_PICK_ID = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"id\"])'"


def welcome_text(*, addresses: Mapping[str, str], credentials: FirstCredentials) -> str:
    """For a terminal, to be copied from line by line."""
    gateway, mailbox, push = (
        addresses[name].replace("127.0.0.1", "localhost") for name in ("gateway", MAILBOX, PUSH_STANDIN)
    )
    return f"""
Carillon is up.

  API        {gateway}/api/v1     (docs: {gateway}/docs)
  Console    {gateway}/console    what is going on, and what failed: log in as CARILLON_ADMIN
  Mailbox    {mailbox}            every mail that is sent
  Push       {push}            every push message that is sent

CARILLON_ADMIN={credentials.email}:{credentials.password}
CARILLON_API_KEY={credentials.api_key}

A first notification, to be pasted into another terminal as it is (the second time the templates are
there already, and answer 409):

API={gateway}/api/v1
AUTH='Authorization: Bearer {credentials.api_key}'
JSON='Content-Type: application/json'
USER_ID=$(curl -s "$API/users" -H "$AUTH" -H "$JSON" -d '{{"name": "Ann Example", "email": "ann@example.com"}}' | {_PICK_ID})
curl -s "$API/templates" -H "$AUTH" -H "$JSON" -d '{{"code": "hello", "name": "Hello", "notification_type": "email", "language": "en", "subject": "Hello {{{{ name }}}}", "body": "<h1>Hello {{{{ name }}}}</h1><p>Your first notification.</p>"}}'; echo
curl -s -X POST "$API/templates/hello/versions/1/publish" -H "$AUTH"; echo
ID=$(curl -s "$API/notifications" -H "$AUTH" -H "$JSON" -H "Idempotency-Key: first-$USER_ID" -d "{{\\"user_id\\": \\"$USER_ID\\", \\"notification_type\\": \\"email\\", \\"template_code\\": \\"hello\\", \\"variables\\": {{\\"name\\": \\"Ann\\"}}}}" | {_PICK_ID})
sleep 1; curl -s "$API/notifications/$ID" -H "$AUTH"; echo
curl -s "{mailbox}/api/v1/messages?limit=1"; echo

The same as a push message, to a device of hers:

curl -s "$API/users/$USER_ID/devices" -H "$AUTH" -H "$JSON" -d '{{"platform": "android", "token": "anns-phone"}}'; echo
curl -s "$API/templates" -H "$AUTH" -H "$JSON" -d '{{"code": "hello_push", "name": "Hello", "notification_type": "push", "language": "en", "subject": "Hello {{{{ name }}}}", "body": "Your first push message."}}'; echo
curl -s -X POST "$API/templates/hello_push/versions/1/publish" -H "$AUTH"; echo
ID=$(curl -s "$API/notifications" -H "$AUTH" -H "$JSON" -H "Idempotency-Key: first-push-$USER_ID" -d "{{\\"user_id\\": \\"$USER_ID\\", \\"notification_type\\": \\"push\\", \\"template_code\\": \\"hello_push\\", \\"variables\\": {{\\"name\\": \\"Ann\\"}}}}" | {_PICK_ID})
sleep 1; curl -s "$API/notifications/$ID" -H "$AUTH"; echo
curl -s "{push}/api/v1/messages?limit=1"; echo

Ctrl-C stops everything; the data are kept.
"""  # noqa: E501 -- commands to be pasted, one to a line
