"""Items from a file to the server: in batches, patient with a server that is away for a moment."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from grpc import StatusCode

from nearcast.v1.catalog_pb2 import UpsertItemsRequest, UpsertItemsResponse
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_cli.calling import CallFailedError, Gateway
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.rows import BadRow, Row, batches, read_rows

PATIENCE_S = 60.0
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
_PASSING = frozenset({StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.DEADLINE_EXCEEDED})


@dataclass(slots=True)
class Imported:
    """What has become of the lines so far."""

    written: int = 0
    created: int = 0
    last_line: int = 0
    refused: list[BadRow] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "imported": self.written,
            "created": self.created,
            "refused": [row.as_dict() for row in self.refused],
        }


def pause(seconds: float) -> None:
    """Wait on the wall clock."""
    threading.Event().wait(seconds)


def import_items(
    gateway: Gateway,
    lines: Iterable[bytes],
    noticed: Callable[[Imported], None],
    pause: Callable[[float], None] = pause,
    clock: Callable[[], float] = time.monotonic,
) -> Imported:
    """Send every good line; a bad one never spoils the others."""
    done = Imported()

    def good() -> Iterable[Row]:
        for row in read_rows(lines):
            if isinstance(row, BadRow):
                done.refused.append(row)
            else:
                yield row

    for batch in batches(good()):
        try:
            response = _send(gateway, batch, done, pause, clock)
        except CallFailedError as error:
            raise _broken_off(error, done) from error
        _note(done, batch, response)
        noticed(done)
    done.refused.sort(key=lambda row: row.line)
    return done


def _send(
    gateway: Gateway,
    batch: list[Row],
    done: Imported,
    pause: Callable[[float], None],
    clock: Callable[[], float],
) -> UpsertItemsResponse:
    """One batch, sent again while the server is away: writing the same item twice is harmless."""
    request = UpsertItemsRequest(items=[row.item for row in batch])
    deadline_s, delay_s = clock() + PATIENCE_S, FIRST_DELAY_S
    while True:
        try:
            return gateway.call(gateway.catalog.UpsertItems, request)
        except CallFailedError as error:
            never_there = error.unreached and done.last_line == 0
            if error.code not in _PASSING or never_there or clock() > deadline_s:
                raise
            pause(max(error.retry_after_s or 0.0, delay_s * random.uniform(0.75, 1.25)))
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)


def _note(done: Imported, batch: list[Row], response: UpsertItemsResponse) -> None:
    for row, result in zip(batch, response.results, strict=True):
        outcome = result.outcome
        if outcome.code == 0:
            done.written += 1
            done.created += result.created
        else:
            reason = ErrorReason.Name(outcome.reason).removeprefix("ERROR_REASON_")
            refused = BadRow(row.line, row.item.item_id[:128], outcome.field, reason, outcome.message)
            done.refused.append(refused)
    done.last_line = batch[-1].line


def _broken_off(error: CallFailedError, done: Imported) -> CommandFailedError:
    if not done.last_line:
        return error
    return CommandFailedError(
        f"stopped after line {done.last_line}, {done.written} items imported: {error.message}",
        reason=error.reason,
        advice="Import the same file again: what is there already is written once more, without harm.",
        details={"code": error.code.name, "imported": done.written, "lastLine": done.last_line},
    )
