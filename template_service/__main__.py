"""`python -m template_service` serves; `python -m template_service migrate` migrates the database."""

import sys
from pathlib import Path

from shared.process.importing import without_collecting

with without_collecting():
    from shared.web.server import run_service
    from template_service.main import create_app
    from template_service.settings import TemplateServiceSettings

if __name__ == "__main__":
    sys.exit(
        run_service(
            create_app, TemplateServiceSettings, migrations=Path(__file__).parent / "storage" / "migrations"
        )
    )
