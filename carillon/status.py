"""`carillon status`: how everything is, seen from another terminal."""

from rich.console import Console
from rich.table import Table

from carillon.home import Home
from carillon.readiness import Check, Condition, conditions
from carillon.run_record import RunRecord, read_record
from carillon.setup_error import SetupError

READY, NOT_READY = 0, 1


def current_run(home: Home) -> RunRecord:
    """What runs here. Raises SetupError where nothing does."""
    record = read_record(home.run_record)
    if record is None or home.running_pid() is None:
        raise SetupError(f"Carillon is not running in {home.folder}: start it with `make up`.")
    return record


async def show_status(home: Home) -> int:
    """Print a table; the exit code: 0 where all is ready, 1 where something is not. Raises SetupError."""
    record = current_run(home)
    found = await conditions(record.addresses)
    console = Console(soft_wrap=True)
    console.print(f"Carillon, process {record.pid}, state in {home.folder}", highlight=False)
    console.print(status_table(record, found))
    return READY if all(each.alive and each.ready for each in found) else NOT_READY


def status_table(record: RunRecord, found: list[Condition]) -> Table:
    """A line for each."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("Service", "Address", "State", "Version", "Checks"):
        table.add_column(title, overflow="fold")
    for each in found:
        table.add_row(each.name, record.addresses[each.name], _state(each), each.version, _checks(each))
    return table


def _state(condition: Condition) -> str:
    if not condition.alive:
        return "[red]down[/red]"
    return "[green]ready[/green]" if condition.ready else "[yellow]not ready[/yellow]"


def _checks(condition: Condition) -> str:
    return ", ".join(
        f"{check.name} ok"
        if check.ok
        else f"[{_colour(check)}]{check.name}: {check.detail}[/{_colour(check)}]"
        for check in condition.checks
    )


def _colour(check: Check) -> str:
    return "red" if check.required else "yellow"
