"""`python -m user_service` serves; `python -m user_service migrate` brings the database up to date."""

import sys
from pathlib import Path

from shared.process.importing import without_collecting

with without_collecting():
    from shared.web.server import run_service
    from user_service.domain.access_tokens import UnusableSigningKey
    from user_service.main import create_app
    from user_service.settings import UserServiceSettings

if __name__ == "__main__":
    try:
        sys.exit(
            run_service(
                create_app,
                UserServiceSettings,
                migrations=Path(__file__).parent / "storage" / "migrations",
            )
        )
    except UnusableSigningKey as error:
        sys.exit(str(error))
