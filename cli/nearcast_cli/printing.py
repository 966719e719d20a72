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
Row = Sequence[str]


def print_message(message: "Message") -> None:
    """A message in the proto's JSON form, every field that has no presence written out."""
    from google.protobuf.json_format import MessageToJson

    click.echo(
        MessageToJson(message, indent=2, always_print_fields_with_no_presence=True, ensure_ascii=False)
    )


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
    """Columns whose name begins with ">" are numbers; text is never read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            name.lstrip(">"),
            justify="right" if name.startswith(">") else "left",
            overflow="ellipsis",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console(to_stderr).print(table)


def distance(metres: float) -> str:
    """Metres near by, kilometres further away."""
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def short_token(token: str) -> str:
    """Enough to tell two apart, not enough to send."""
    return token if len(token) <= 12 else f"{token[:8]}…"
