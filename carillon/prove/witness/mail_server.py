"""A mail server that takes mail, or misbehaves to order, and keeps a journal of what it delivered.

`python -m carillon.prove.witness.mail_server --port PORT --journal FILE --control SOCKET`
"""

from contextlib import AbstractAsyncContextManager

import uvloop

from carillon.prove.witness.provider import Place, Provider, arguments, listen_on, place_of, provide, run
from carillon.prove.witness.smtp_dialogue import SmtpDialogue


def mail_server(place: Place) -> AbstractAsyncContextManager[Provider]:
    """Takes mail while it is entered. Raises OSError where the port is taken."""
    return provide(SmtpDialogue, listening=listen_on(place.port), place=place, mail=True)


if __name__ == "__main__":
    uvloop.run(run(mail_server(place_of(arguments(__doc__).parse_args()))))
