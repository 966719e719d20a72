"""Lines of NDJSON as events, and what was refused of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nearcast.v1.event_pb2 import Event
from nearcast_cli.jsonlines import NoMessageError, read_message

# The server takes 1 MiB a message; what is around the events needs little.
MOST_BATCH_BYTES = 900_000


@dataclass(frozen=True, slots=True)
class EventRow:
    """One line that is an event."""

    line: int
    event: Event
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """One line that was refused, here or by the server."""

    line: int
    field: str
    reason: str
    message: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"line": self.line, "field": self.field, "reason": self.reason, "message": self.message}


def read_events(lines: Iterable[bytes]) -> Iterator[EventRow | RefusedEvent]:
    """Each line that is not blank, in order."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read(number, line)


def _read(number: int, line: bytes) -> EventRow | RefusedEvent:
    try:
        event = read_message(line, Event())
    except NoMessageError as error:
        return RefusedEvent(number, error.field, "MALFORMED_MESSAGE", error.message)
    size = event.ByteSize()
    if size > MOST_BATCH_BYTES:
        return RefusedEvent(number, "", "EVENT_TOO_LARGE", f"has {size} bytes, more than a message can hold")
    return EventRow(number, event, size)
