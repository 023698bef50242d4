"""`carillon failed`: its commands."""

import typer

from carillon.failed.acts import add_acts
from carillon.failed.jobs import add_jobs
from carillon.failed.reading import add_reading

failed = typer.Typer(
    no_args_is_help=True,
    help="Find what failed, understand it, send it again.\n\nAsks the installation that runs here, or the "
    "one of --url or CARILLON_URL; as the administrator here, as CARILLON_OPERATOR=email:password, or with "
    "CARILLON_API_KEY.",
)
add_reading(failed)
add_acts(failed)
add_jobs(failed)
