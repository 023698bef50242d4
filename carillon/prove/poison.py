"""A defect in a library, as far as the email service can tell: mails with one word end its process."""

import importlib
import os
import signal

WORD = "bad"
"""Of which the load client makes poisonous marks."""


def swallow() -> None:
    """From now on, for as long as this process lives. In a process that has the email service imported."""
    channel = importlib.import_module("email_service.channel").EmailChannel
    make = channel.content

    def content(self: object, rendered: object) -> object:
        if WORD in str(getattr(rendered, "body", "")):
            os.kill(os.getpid(), signal.SIGKILL)
        return make(self, rendered)

    channel.content = content
