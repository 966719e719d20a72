"""Events on their way to a server: those that wait, and those that were sent and have no ack yet."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nearcast.v1.event_pb2 import EventBatch
from nearcast_cli.eventrows import MOST_BATCH_BYTES, EventRow, RefusedEvent

MOST_WAITING = 2000
# Rows that come one by one go together when they come so soon after another.
GATHER_S = 0.05


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are acknowledged together."""

    sequence: int
    rows: tuple[EventRow, ...]

    def message(self) -> EventBatch:
        """As the wire has it."""
        return EventBatch(sequence=self.sequence, events=[row.event for row in self.rows])


class Outbox:
    """Three threads meet here: one that reads lines, one that writes requests, one that reads acks.

    A turn is one stream. A batch is kept until its ack, and every turn begins with those that have none.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[EventRow] = deque()
        self._sent: deque[Batch] = deque()
        self._complete = False
        self._failure: BaseException | None = None
        self._turn = 0
        self._window = 1
        self._advised_events = 1
        self._last = 0
        self.acknowledged = 0
        self.refused: list[RefusedEvent] = []

    def fill(self, rows: Iterable[EventRow | RefusedEvent]) -> None:
        """Take every row, never many more than can be sent; for a thread of its own."""
        failure: BaseException | None = None
        try:
            for row in rows:
                self._put(row)
        except Exception as error:  # noqa: BLE001 - told by the thread that sends
            failure = error
        with self._changed:
            self._complete, self._failure = True, failure
            self._changed.notify_all()

    def begin(self) -> int:
        """A new turn; whoever still sends for the turn before stops."""
        with self._changed:
            self._turn += 1
            self._window = 1
            self._changed.notify_all()
            return self._turn

    def end(self) -> None:
        """Nobody sends until the next turn begins."""
        self.begin()

    def welcome(self, window: int, advised_events: int) -> None:
        """What the server allows on this turn."""
        with self._changed:
            self._window, self._advised_events = window, advised_events
            self._changed.notify_all()

    def batches(self, turn: int) -> Iterator[Batch]:
        """What to send on this turn, as the window allows it; ends with the turn or when all is sent."""
        after = self.acknowledged
        while True:
            with self._changed:
                batch = self._await_next(turn, after)
            if batch is None:
                return
            after = batch.sequence
            yield batch

    def acknowledge(self, sequence: int, advised_events: int) -> Batch:
        """The batch of this ack, which leaves the window."""
        with self._changed:
            batch = self._sent.popleft()
            if batch.sequence != sequence:
                raise ValueError(f"ack of {sequence} where {batch.sequence} was awaited")
            self.acknowledged, self._advised_events = sequence, advised_events
            self._changed.notify_all()
            return batch

    def unacknowledged(self) -> int:
        """How many batches will be sent again when a stream ends now."""
        with self._changed:
            return len(self._sent)

    def wait_for_more(self) -> bool:
        """Wait for something to send; False when there never will be. Raises what reading the rows raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._sent or self._waiting or self._complete)
            if self._failure is not None and not self._sent and not self._waiting:
                raise self._failure
            return bool(self._sent or self._waiting)

    def _put(self, row: EventRow | RefusedEvent) -> None:
        with self._changed:
            if isinstance(row, RefusedEvent):
                self.refused.append(row)
                return
            self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING)
            self._waiting.append(row)
            if len(self._waiting) == 1 or len(self._waiting) >= self._advised_events:
                self._changed.notify_all()

    def _await_next(self, turn: int, after: int) -> Batch | None:
        self._changed.wait_for(lambda: self._turn != turn or self._ready(after))
        if self._sent and self._sent[-1].sequence > after:
            return self._next(turn, after)
        self._changed.wait_for(lambda: self._turn != turn or self._is_full(), timeout=GATHER_S)
        return self._next(turn, after)

    def _is_full(self) -> bool:
        return self._complete or len(self._waiting) >= self._advised_events

    def _ready(self, after: int) -> bool:
        """Whether there is a batch to send after this one, or the last has been sent."""
        in_flight = sum(batch.sequence <= after for batch in self._sent)
        if in_flight >= self._window:
            return False
        return bool(in_flight < len(self._sent) or self._waiting or self._complete)

    def _next(self, turn: int, after: int) -> Batch | None:
        if self._turn != turn:
            return None
        for batch in self._sent:
            if batch.sequence > after:
                return batch
        return self._gathered() if self._waiting else None

    def _gathered(self) -> Batch:
        """As many of those that wait as one batch takes, by count and by size."""
        rows = [self._waiting.popleft()]
        size = rows[0].size_bytes
        while self._waiting and len(rows) < self._advised_events:
            size += self._waiting[0].size_bytes
            if size > MOST_BATCH_BYTES:
                break
            rows.append(self._waiting.popleft())
        self._last += 1
        batch = Batch(self._last, tuple(rows))
        self._sent.append(batch)
        self._changed.notify_all()
        return batch
