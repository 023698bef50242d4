"""`python -m email_service` serves; `python -m email_service migrate` prepares the ledger's database."""

import sys

from shared.process.importing import without_collecting

with without_collecting():
    from email_service.main import create_app
    from email_service.settings import EmailSettings
    from shared.delivery.ledger import MIGRATIONS
    from shared.web.server import run_service

if __name__ == "__main__":
    sys.exit(run_service(create_app, EmailSettings, migrations=MIGRATIONS))
