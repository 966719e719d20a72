"""Lines of NDJSON as items, and what is wrong with a line that is none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf import json_format

from nearcast.v1.item_pb2 import Item
from nearcast_cli.jsonlines import NoMessageError, read_message

# The server takes 1 MiB a call; what is around the items needs little.
MOST_BATCH_BYTES = 900_000
MOST_BATCH_ITEMS = 200

_OUTPUT_ONLY = ("created_at", "updated_at", "posting", "etag")


@dataclass(frozen=True, slots=True)
class Row:
    """One line that is an item."""

    line: int
    item: Item


@dataclass(frozen=True, slots=True)
class BadRow:
    """One line that was refused, here or by the server."""

    line: int
    item_id: str
    field: str
    reason: str
    message: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "line": self.line,
            "itemId": self.item_id,
            "field": self.field,
            "reason": self.reason,
            "message": self.message,
        }


def read_rows(lines: Iterable[bytes]) -> Iterator[Row | BadRow]:
    """Each line that is not blank, in order."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read(number, line)


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """As many as one call takes, by count and by size."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        row_size = row.item.ByteSize()
        if batch and (len(batch) == MOST_BATCH_ITEMS or size + row_size > MOST_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_size
    if batch:
        yield batch


def write_row(item: Item, keep_version: bool) -> str:
    """The line of an item, as import reads it: without what only the server says."""
    for name in _OUTPUT_ONLY:
        item.ClearField(name)
    if not keep_version:
        item.ClearField("version")
    return json_format.MessageToJson(item, indent=None, ensure_ascii=False)


def _read(number: int, line: bytes) -> Row | BadRow:
    try:
        item = read_message(line, Item())
    except NoMessageError as error:
        return BadRow(number, "", error.field, "MALFORMED_MESSAGE", error.message)
    if item.ByteSize() > MOST_BATCH_BYTES:
        return BadRow(number, item.item_id[:128], "", "TOO_LARGE", f"is larger than {MOST_BATCH_BYTES} bytes")
    return Row(number, item)
