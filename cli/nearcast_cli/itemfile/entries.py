"""The entries of a file, NDJSON or CSV: an item or what is wrong, one by one, each with where it began."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.itemfile.columns import Columns
from nearcast_cli.itemfile.lines import Lines, LineTooLongError, Mark
from nearcast_cli.jsonlines import NoMessageError
from nearcast_cli.rows import BadRow, Row, fitting, read_row

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is to be read; `columns` are the names of fields that have another one."""

    kind: Literal["ndjson", "csv"] = "ndjson"
    delimiter: str = ","
    columns: Mapping[str, str] = field(default_factory=dict)


class Entries:
    """An iterator over the entries of a file; after each, the lines are committed up to its end."""

    def __init__(self, lines: Lines, form: Format) -> None:
        """Reads the header of CSV. Raises CommandFailedError."""
        self.lines = lines
        self._columns: Columns | None = None
        if form.kind == "csv":
            self._reader = csv.reader(_Text(lines), delimiter=form.delimiter, strict=True)
            self._columns = self._header(form)

    @property
    def ignored(self) -> list[str]:
        """Columns of CSV that fill nothing."""
        return self._columns.ignored if self._columns else []

    def go_on_after(self, mark: Mark) -> bool:
        """Skip what an earlier run dealt with; whether the file still says the same up to there."""
        return self.lines.skip_to(mark)

    def __iter__(self) -> Iterator[Row | BadRow]:
        return self._csv(self._columns) if self._columns else self._ndjson()

    def _ndjson(self) -> Iterator[Row | BadRow]:
        while True:
            number = self.lines.number
            try:
                line = next(self.lines)
            except StopIteration:
                return
            except LineTooLongError as error:
                entry: Row | BadRow | None = BadRow(number, "", "", "TOO_LARGE", str(error))
            else:
                entry = read_row(number, line) if line.strip() else None
            self.lines.commit()
            if entry is not None:
                yield entry

    def _csv(self, columns: Columns) -> Iterator[Row | BadRow]:
        while True:
            number = self.lines.number
            try:
                entry = self._record(number, columns)
            except StopIteration:
                return
            self.lines.commit()
            if entry is not None:
                yield entry

    def _record(self, number: int, columns: Columns) -> Row | BadRow | None:
        try:
            cells = next(self._reader)
        except (csv.Error, NoMessageError, LineTooLongError) as error:
            reason = "TOO_LARGE" if isinstance(error, LineTooLongError) else "MALFORMED_MESSAGE"
            message = _plainly(error, self.lines.pending)
            # A quote that is never closed spoils its own line alone.
            self.lines.keep_first()
            return BadRow(number, "", "", reason, message)
        if not any(cells):
            return None
        try:
            return fitting(number, columns.item(cells))
        except NoMessageError as error:
            return BadRow(number, "", error.field, "MALFORMED_MESSAGE", error.message)

    def _header(self, form: Format) -> Columns:
        try:
            header = next(self._reader)
        except StopIteration:
            header = []
        except (csv.Error, NoMessageError, LineTooLongError) as error:
            raise _headless(f"the header cannot be read: {error}") from error
        if not any(header):
            raise _headless("the first line must name the columns, and it is empty")
        header[0] = header[0].removeprefix(_BOM)
        others = [each for each in ";\t|," if each != form.delimiter and each in header[0]]
        if len(header) == 1 and others:
            raise _headless(f"the header is one column: is the delimiter {_named(others[0])}?")
        self.lines.commit()
        return Columns(header, form.columns)


class _Text:
    """Lines as text; the reader of CSV asks for as many as a record has."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> "_Text":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise NoMessageError(f"is not UTF-8: byte {error.start + 1} of the line cannot be read") from None


def _plainly(error: Exception, lines: int) -> str:
    said = str(error)
    if "unexpected end of data" in said or "field larger" in said:
        return "a quote is opened and never closed"
    if "expected after" in said:
        where = "" if lines == 1 else f", {lines - 1} lines below"
        return f"a quoted cell goes on after its closing quote{where}; write a quote within a cell twice"
    return said


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f'"{delimiter}"'


def _headless(message: str) -> CommandFailedError:
    return CommandFailedError(
        message,
        reason="COLUMNS_UNKNOWN",
        field="header",
        advice='Give the delimiter with --delimiter, such as --delimiter ";" or --delimiter tab.',
    )
