"""Sends events over a stream to the last ack: reconnects, and sends again what was not acknowledged."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from grpc import StatusCode

from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast.v1.event_pb2 import (
    STREAM_END_DRAIN,
    BatchAck,
    Durability,
    StreamEventsRequest,
    StreamEventsResponse,
    StreamHello,
)
from nearcast_cli.calling import CallFailedError, Gateway
from nearcast_cli.eventrows import EventRow, RefusedEvent
from nearcast_cli.failure import BrokenOffError, CommandFailedError
from nearcast_cli.importing import FIRST_DELAY_S, LONGEST_DELAY_S, PATIENCE_S, pause
from nearcast_cli.outbox import Batch, Outbox

_PASSING = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.CANCELLED,
        StatusCode.UNKNOWN,
    }
)


@dataclass(slots=True)
class Sent:
    """What has become of the events so far."""

    accepted: int = 0
    learned: int = 0
    batches: int = 0
    resent: int = 0
    streams: int = 0
    last_line: int = 0
    durability: int = 0

    def as_dict(self, refused: Iterable[RefusedEvent]) -> dict[str, object]:
        """For JSON; the durability is the least of all acks."""
        return {
            "accepted": self.accepted,
            "learned": self.learned,
            "durability": Durability.Name(self.durability).removeprefix("DURABILITY_"),
            "batches": self.batches,
            "resentBatches": self.resent,
            "streams": self.streams,
            "refused": [row.as_dict() for row in refused],
        }


class EventSender:
    """Sends rows; what is acknowledged once is never sent again.

    `noticed` is told after each ack, `interrupted` why a stream has ended before all was sent and how many
    batches are sent again.
    """

    def __init__(
        self,
        gateway: Gateway,
        noticed: Callable[[Sent, Outbox], None],
        interrupted: Callable[[str, int], None],
        *,
        client_name: str = "",
        pause: Callable[[float], None] = pause,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._noticed = noticed
        self._interrupted = interrupted
        self._client_name = client_name
        self._pause = pause
        self._clock = clock
        self._outbox = Outbox()
        self.sent = Sent()

    @property
    def refused(self) -> list[RefusedEvent]:
        """Every line that was refused, in the order of the lines."""
        return sorted(self._outbox.refused, key=lambda row: row.line)

    def send(self, rows: Iterable[EventRow | RefusedEvent]) -> Sent:
        """Send every row. Raises CommandFailedError when the server stays away or refuses the stream."""
        threading.Thread(target=self._outbox.fill, args=(rows,), daemon=True).start()
        failing_since_s, delay_s = None, FIRST_DELAY_S
        while self._outbox.wait_for_more():
            before = self._outbox.acknowledged
            failure = self._stream()
            if self._outbox.acknowledged > before:
                failing_since_s, delay_s = None, FIRST_DELAY_S
                if failure is None:
                    continue
            failing_since_s = self._clock() if failing_since_s is None else failing_since_s
            if failure is not None and self._is_final(failure, self._clock() - failing_since_s):
                raise self._broken_off(failure) from failure
            asked_s = failure.retry_after_s if failure is not None else None
            self._pause(max(asked_s or 0.0, delay_s * random.uniform(0.75, 1.25)))
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)
        return self.sent

    def interrupted(self) -> BrokenOffError:
        """What is acknowledged when somebody breaks it off, and how to go on."""
        line, name = self.sent.last_line, Durability.Name(self.sent.durability).removeprefix("DURABILITY_")
        kept = f", {self.sent.accepted} events acknowledged ({name})" if self.sent.accepted else ""
        after = f", or those after line {line} alone" if line else ""
        return BrokenOffError(
            f"broken off after line {line}{kept}" if line else "broken off before anything was acknowledged",
            reason="INTERRUPTED",
            advice=f"Send the same lines again{after}: what was accepted is counted once.",
            details={"lastLine": line, **self.sent.as_dict(self.refused)},
        )

    def _stream(self) -> CallFailedError | None:
        """One stream to its end, and the error it ended with."""
        turn = self._outbox.begin()
        self.sent.streams += 1
        try:
            for response in self._gateway.stream(self._gateway.events.StreamEvents, self._requests(turn)):
                self._hear(response)
        except CallFailedError as error:
            self._tell(error.message)
            return error
        finally:
            self._outbox.end()
            self.sent.resent += self._outbox.unacknowledged()
        return None

    def _requests(self, turn: int) -> Iterator[StreamEventsRequest]:
        hello = StreamHello(version=1, resume_after=self._outbox.acknowledged, client_name=self._client_name)
        yield StreamEventsRequest(hello=hello)
        for batch in self._outbox.batches(turn):
            yield StreamEventsRequest(batch=batch.message())

    def _hear(self, response: StreamEventsResponse) -> None:
        match response.WhichOneof("message"):
            case "welcome":
                self._outbox.welcome(response.welcome.window, response.welcome.advised_events)
            case "ack":
                self._note(
                    self._outbox.acknowledge(response.ack.sequence, response.ack.advised_events), response.ack
                )
            case "goodbye":
                self._outbox.end()
                if response.goodbye.reason == STREAM_END_DRAIN:
                    self._tell("the gateway stops")

    def _tell(self, why: str) -> None:
        self._interrupted(why, self._outbox.unacknowledged())

    def _note(self, batch: Batch, ack: BatchAck) -> None:
        self.sent.batches += 1
        self.sent.accepted += ack.accepted
        self.sent.learned += ack.learned
        self.sent.last_line = batch.rows[-1].line
        if ack.accepted:
            self.sent.durability = min(self.sent.durability or ack.durability, ack.durability)
        told = [(batch.rows[result.index].line, result.outcome) for result in ack.results]
        if ack.HasField("refusal"):
            told = [(row.line, ack.refusal) for row in batch.rows]
        for line, outcome in told:
            if outcome.code != 0:
                reason = ErrorReason.Name(outcome.reason).removeprefix("ERROR_REASON_")
                self._outbox.refused.append(RefusedEvent(line, outcome.field, reason, outcome.message))
        self._noticed(self.sent, self._outbox)

    def _is_final(self, error: CallFailedError, failing_s: float) -> bool:
        never_there = error.unreached and not self._outbox.acknowledged
        return error.code not in _PASSING or never_there or failing_s > PATIENCE_S

    def _broken_off(self, error: CallFailedError) -> CommandFailedError:
        if not self._outbox.acknowledged:
            return error
        return CommandFailedError(
            f"stopped after line {self.sent.last_line}, {self.sent.accepted} events taken: {error.message}",
            reason=error.reason,
            advice="Send the same lines again: what was accepted is counted once.",
            details={"code": error.code.name, **self.sent.as_dict(self.refused)},
        )
