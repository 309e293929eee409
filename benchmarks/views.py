"""Sheets for the terminal, and between two markers of docs/benchmarks.md."""

from pathlib import Path

from rich import box
from rich.table import Table

from benchmarks.figures import Results
from benchmarks.sheets import Sheet, sheets_of, verdict, warning

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGINS, ENDS = "<!-- make bench ARGS=--write: begins -->", "<!-- make bench ARGS=--write: ends -->"


class NoMarkersError(Exception):
    def __init__(self, page: Path) -> None:
        super().__init__(f"{page} has not both markers, in this order: {BEGINS} and {ENDS}")


def table_of(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, caption=sheet.note or None, box=box.SIMPLE_HEAD, title_justify="left")
    for number, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if number else "left")
    for row in sheet.rows:
        table.add_row(*(cell.strip("`") for cell in row))
    return table


def write_into(page: Path, results: Results, command: str) -> None:
    """Replace what stands between the markers; raises NoMarkersError."""
    before, begins, rest = page.read_text().partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not (begins and ends):
        raise NoMarkersError(page)
    page.write_text(f"{before}{BEGINS}\n\n{_markdown(results, command)}\n\n{ENDS}{after}")


def _markdown(results: Results, command: str) -> str:
    told = warning(results)
    head = [
        f"`{command}`",
        f"Machine: {results.machine}.",
        *([f"**{told}**"] if told else []),
        f"**{verdict(results)}**",
    ]
    return "\n\n".join([*head, *map(_sheet, sheets_of(results))])


def _sheet(sheet: Sheet) -> str:
    lines = [sheet.columns, ["---", *["---:"] * (len(sheet.columns) - 1)], *sheet.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"### {sheet.title}\n\n{table}" + (f"\n\n{sheet.note}" if sheet.note else "")
