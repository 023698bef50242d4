"""`python -m carillon.mailbox`."""

from carillon.mailbox.main import create_app
from carillon.mailbox.settings import MailboxSettings
from carillon.pages.site import serve


def main() -> None:
    """Serve until the process is told to end."""
    settings = MailboxSettings()
    serve(create_app(settings), host=settings.host, port=settings.port)


if __name__ == "__main__":
    main()
