"""Lines of NDJSON as items, and what is wrong with a line that is none."""

from dataclasses import dataclass

from google.protobuf import json_format

from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast.v1.item_pb2 import Item
from nearcast.v1.outcome_pb2 import Outcome
from nearcast_cli.jsonlines import NoMessageError, read_message
from nearcast_cli.plainitem import read_plain_item

# The server takes 1 MiB a call; what is around the items needs little.
MOST_BATCH_BYTES = 900_000
MOST_BATCH_ITEMS = 500

_OUTPUT_ONLY = ("created_at", "updated_at", "posting", "etag")


@dataclass(frozen=True, slots=True)
class Row:
    """One line that is an item."""

    line: int
    item: Item

    def refused(self, outcome: Outcome) -> "BadRow":
        """What the server says of it."""
        reason = ErrorReason.Name(outcome.reason).removeprefix("ERROR_REASON_")
        return BadRow(self.line, self.item.item_id[:128], outcome.field, reason, outcome.message)


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


def read_row(number: int, line: bytes) -> Row | BadRow:
    """One line that is not blank."""
    item = read_plain_item(line)
    if item is None:
        try:
            item = read_message(line, Item())
        except NoMessageError as error:
            return BadRow(number, "", error.field, "MALFORMED_MESSAGE", error.message)
    return fitting(number, item)


def fitting(number: int, item: Item) -> Row | BadRow:
    """Whether a call can take the item at all."""
    if item.ByteSize() > MOST_BATCH_BYTES:
        return BadRow(number, item.item_id[:128], "", "TOO_LARGE", f"is larger than {MOST_BATCH_BYTES} bytes")
    return Row(number, item)


def write_row(item: Item, keep_version: bool) -> str:
    """The line of an item, as import reads it: without what only the server says."""
    for name in _OUTPUT_ONLY:
        item.ClearField(name)
    if not keep_version:
        item.ClearField("version")
    return json_format.MessageToJson(item, indent=None, ensure_ascii=False)
