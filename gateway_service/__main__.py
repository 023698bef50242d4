"""`python -m gateway_service` serves; `python -m gateway_service migrate` brings the database up to date."""

import sys
from pathlib import Path

from shared.process.importing import without_collecting

with without_collecting():
    from gateway_service.main import create_app
    from gateway_service.settings import GatewaySettings
    from shared.web.server import run_service

if __name__ == "__main__":
    sys.exit(
        run_service(create_app, GatewaySettings, migrations=Path(__file__).parent / "storage" / "migrations")
    )
