"""How the tables of a report look."""

from rich.table import Table


def table(title: str, *columns: str) -> Table:
    """Without lines; the first column to the left, the others, of numbers, to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made
