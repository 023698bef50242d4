"""What is particular to email: whom a mail goes to, and what it is filled with."""

import re
from collections.abc import Sequence
from hashlib import sha256

from email_service.mime.header import has_control
from shared.contracts.channels import Channel, EmailContent
from shared.contracts.delivery import DeliveryRequested
from shared.contracts.recipients import Recipient
from shared.delivery.plain_text import text_of
from shared.delivery.provider import RenderedMessage, Target

LONGEST_SUBJECT = 998
"""Characters; RFC 5322 allows 998 in a line, and no mail program shows as many."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class EmailChannel:
    """The adapter of the email channel; see `shared.delivery.provider.ChannelAdapter`."""

    channel = Channel.EMAIL

    def targets(self, request: DeliveryRequested, recipient: Recipient | None) -> Sequence[Target]:
        """The address given in the request, else the recipient's."""
        address = request.address or (recipient.email if recipient else None)
        if not address:
            return ()
        name = _CONTROLS.sub(" ", recipient.name).strip() if recipient else ""
        digest = sha256(address.lower().encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return (Target(id=f"mail-{digest}", address=address, name=name or None),)

    def content(self, rendered: RenderedMessage) -> EmailContent:
        """Both parts of the mail; the text is made from the HTML where there is none of its own.

        Raises ValueError where the subject is missing, too long or not a single line.
        """
        subject = (rendered.subject or "").strip()
        if not subject:
            raise ValueError("The subject is empty.")
        if len(subject) > LONGEST_SUBJECT:
            raise ValueError(f"The subject is longer than {LONGEST_SUBJECT} characters.")
        if has_control(subject):
            raise ValueError("The subject holds a line break or another control character.")
        text = rendered.text_body
        content = EmailContent(
            subject=subject,
            html=rendered.body,
            text=text_of(rendered.body) if text is None else text,
        )
        try:
            for part in (content.subject, content.html, content.text):
                part.encode()
        except UnicodeEncodeError:
            raise ValueError("The message holds half of a surrogate pair, which is no text.") from None
        return content
