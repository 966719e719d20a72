"""What a command prints: one JSON document for programs, tables for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console

WIDTH_WHEN_PIPED = 120
LEAST_WIDTH = 8
GAP = 2
_MAY_BE_CUT = {"title", "category", "tags", "detail", "outcome", "label"}
Row = Sequence[str]


def print_message(message: "Message") -> None:
    """A message in the proto's JSON form, every field that has no presence written out."""
    from google.protobuf.json_format import MessageToJson

    click.echo(
        MessageToJson(message, indent=2, always_print_fields_with_no_presence=True, ensure_ascii=False)
    )


def print_line(message: "Message") -> None:
    """The same on a line of its own, at once: for whoever reads along."""
    from google.protobuf.json_format import MessageToJson

    text = MessageToJson(message, indent=None, always_print_fields_with_no_presence=True, ensure_ascii=False)
    click.echo(text)
    sys.stdout.flush()


def print_json(document: object) -> None:
    """Plain values as one document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def console(to_stderr: bool = False) -> "Console":
    """A console as wide as the terminal, or wide enough to keep a row on a line when piped."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else WIDTH_WHEN_PIPED, highlight=False, soft_wrap=False
    )


def print_table(columns: Sequence[str], rows: Iterable[Row], to_stderr: bool = False) -> None:
    """Columns whose name begins with ">" are numbers; text is never read as markup.

    A row too wide for the terminal is cut in the columns of `_MAY_BE_CUT`, then goes on in the next line: a
    number or an id that is cut says something else. Where there is no terminal nothing is cut.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    whole = [[Text(cell, no_wrap=True, overflow="ellipsis") for cell in row] for row in rows]
    target = console(to_stderr)
    needed = GAP * (len(columns) - 1)
    for place, name in enumerate(columns):
        title = name.lstrip(">")
        width = max([len(title), *(row[place].cell_len for row in whole)])
        least = min(width, LEAST_WIDTH) if target.is_terminal and title in _MAY_BE_CUT else width
        table.add_column(
            Text(title, no_wrap=True),
            justify="right" if name.startswith(">") else "left",
            no_wrap=title not in _MAY_BE_CUT,
            min_width=least,
        )
        needed += least
    for row in whole:
        table.add_row(*row)
    target.width = max(target.width, needed)
    target.print(table)


def counted(number: int, one: str, more: str = "") -> str:
    """1 event, 2 events."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def distance(metres: float) -> str:
    """Metres near by, kilometres further away."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def short_token(token: str) -> str:
    """Enough to tell two apart, not enough to send."""
    return token if len(token) <= 12 else f"{token[:8]}…"
