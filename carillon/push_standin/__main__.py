"""`python -m carillon.push_standin`."""

from carillon.pages.site import serve
from carillon.push_standin.main import create_app
from carillon.push_standin.settings import PushStandinSettings


def main() -> None:
    """Serve until the process is told to end."""
    settings = PushStandinSettings()
    serve(create_app(settings), host=settings.host, port=settings.port)


if __name__ == "__main__":
    main()
