"""`python -m push_service` serves; `python -m push_service migrate` prepares the ledger's database."""

import sys

from shared.process.importing import without_collecting

with without_collecting():
    from push_service.main import create_app
    from push_service.settings import PushSettings
    from shared.delivery.ledger import MIGRATIONS
    from shared.web.server import run_service

if __name__ == "__main__":
    sys.exit(run_service(create_app, PushSettings, migrations=MIGRATIONS))
