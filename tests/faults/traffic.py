"""What people see and do, as events: repeated, out of order, and some that must be refused."""

import math
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from nearcast.v1 import event_pb2
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS, IMPRESSION
from nearcast_ledger.requestid import RequestIds
from tests.faults.journal import Intent

DAY_MS = 86_400_000
# Key id, version and flags, tenant and request id come before it in the token.
POSTING_AT = slice(22, 30)
ACTS = (("view", 0.5), ("save", 0.2), ("apply", 0.1))


@dataclass(frozen=True, slots=True)
class Shown:
    """One item of a slate."""

    request_id: str
    item_id: str
    posting: int
    token: str
    feed: str
    feed_propensity: float


def event_ids(random: Random, ahead_ms: int = 0) -> Callable[[], str]:
    """Ids as a sender makes them, from a clock that may be wrong."""
    ids = RequestIds(lambda: time.time_ns() // 1_000_000 + ahead_ms, random.randbytes)
    return lambda: str(ids.next())


def attributed(shown: Shown, kind: str, **fields: Any) -> Intent:
    """Known by the decision that showed the item, whatever else it says."""
    event = event_pb2.Event(kind=kind, reward_token=shown.token, **fields)
    number = BUILT_IN_KIND_NUMBERS[kind]
    return Intent(shown.request_id, shown.posting, number, event.SerializeToString(), learned=True)


def unattributed(event_id: str, kind: str = "view", **fields: Any) -> Intent:
    """Known by its own id, and not learned from."""
    event = event_pb2.Event(kind=kind, event_id=event_id, **fields)
    return Intent(event_id, 0, 0, event.SerializeToString())


def views(random: Random, count: int) -> list[Intent]:
    """Seen by nobody we know of: each known by its own id."""
    fresh = event_ids(random)
    return [unattributed(fresh()) for _ in range(count)]


def refused(reason: str, **fields: Any) -> Intent:
    """To be refused; were it taken all the same, it would be found under its event id."""
    event = event_pb2.Event(**fields)
    return Intent(event.event_id, 0, 0, event.SerializeToString(), refused=reason)


def forged(shown: Shown, event_id: str) -> Intent:
    """A token changed to another posting: to be stored under its event id, and not learned from."""
    raw = bytearray(urlsafe_b64decode(shown.token + "=" * (-len(shown.token) % 4)))
    raw[POSTING_AT] = (int.from_bytes(raw[POSTING_AT]) + 1).to_bytes(8)
    token = urlsafe_b64encode(raw).rstrip(b"=").decode()
    return unattributed(event_id, "apply", reward_token=token)


class Traffic:
    """Batches for the slates that people were given."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._fresh = event_ids(random)
        self._old = event_ids(random, -8 * DAY_MS)

    def events(self, slate: Sequence[Shown]) -> list[Intent]:
        """In no order: acts come before impressions, some impressions never, some events twice."""
        random = self._random
        events = [attributed(shown, "impression") for shown in slate if random.random() < 0.8]
        events += [
            attributed(shown, kind) for shown in slate for kind, share in ACTS if random.random() < share
        ]
        events += [unattributed(self._fresh()) for _ in range(random.randrange(3))]
        if slate and random.random() < 0.2:
            events.append(forged(random.choice(slate), self._fresh()))
        if random.random() < 0.2:
            events.append(self._bad())
        events += random.sample(events, len(events) // 20)
        random.shuffle(events)
        return events

    def resent(self, intent: Intent) -> event_pb2.Event:
        """The event as it is sent now: some senders make a new id for each attempt."""
        event = event_pb2.Event.FromString(intent.wire)
        if intent.posting and self._random.random() < 0.5:
            event.event_id = self._fresh()
        return event

    def _bad(self) -> Intent:
        fresh = self._fresh()
        return self._random.choice(
            [
                refused("KIND_UNKNOWN", kind="nothing", event_id=fresh),
                refused("VALUE_OUT_OF_RANGE", kind="view", event_id=fresh, value=math.nan),
                refused("EVENT_TOO_OLD", kind="view", event_id=self._old()),
                refused("EVENT_ID_FORMAT", kind="view", event_id="never"),
                refused("ID_CHARSET", kind="view", event_id=fresh, item_id="a\0b"),
            ]
        )


def implied(intent: Intent) -> tuple[str, int, int] | None:
    """The identity of the impression that an act proves."""
    if not intent.learned or intent.kind == IMPRESSION:
        return None
    return str(UUID(intent.origin)), intent.posting, IMPRESSION
