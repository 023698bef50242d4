"""What is particular to push: which devices a notification goes to, and what it is filled with."""

from collections.abc import Sequence
from hashlib import sha256

from shared.contracts.channels import Channel, PushContent
from shared.contracts.delivery import DeliveryRequested
from shared.contracts.recipients import Recipient
from shared.delivery.provider import RenderedMessage, Target

LARGEST_TEXT_BYTES = 3072
"""Title and body in UTF-8. FCM, APNs and Web Push each take 4,096 bytes in all; the rest is for the frame."""


class PushChannel:
    """The adapter of the push channel; see `shared.delivery.provider.ChannelAdapter`."""

    channel = Channel.PUSH

    def targets(self, request: DeliveryRequested, recipient: Recipient | None) -> Sequence[Target]:
        """The device token given in the request, else every device of the recipient that has one."""
        if request.address:
            digest = sha256(request.address.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            return (Target(id=f"token-{digest}", address=request.address),)
        if recipient is None:
            return ()
        return tuple(
            Target(id=str(device.id), address=device.token, attributes={"platform": device.platform})
            for device in recipient.devices
            if device.token
        )

    def content(self, rendered: RenderedMessage) -> PushContent:
        """Title and body. Raises ValueError where both are empty, or too long for any push service."""
        title, body = (rendered.subject or "").strip(), rendered.body.strip()
        if not title and not body:
            raise ValueError("The push notification has neither a title nor a body.")
        try:
            size = len(title.encode()) + len(body.encode())
        except UnicodeEncodeError:
            raise ValueError("The message holds half of a surrogate pair, which is no text.") from None
        if size > LARGEST_TEXT_BYTES:
            raise ValueError(f"Title and body are longer than {LARGEST_TEXT_BYTES} bytes together.")
        return PushContent(title=title, body=body)
