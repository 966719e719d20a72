"""From judged events to entries of the log: each identity once, none larger than an entry may be."""

from collections.abc import Sequence

from msgspec.structs import replace

from nearcast_catalogue.checking import Violation
from nearcast_catalogue.outcomes import Outcome, refused
from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.identity import Identity, identity_of
from nearcast_store.intake.judging import Judged

MOST_ENTRY_EVENTS = 500
MOST_ENTRY_BYTES = 262144
MOST_CALL_EVENTS = 5000
# What an impression taken out of a slate has in the log, but for the ids that its sender gave.
_IMPRESSION_BYTES = 192


def within(judged: Judged, accepted: int) -> Judged:
    """Refused when a call's slates stand for too much; `accepted` events stand before it in the call."""
    if not judged.more or accepted + len(judged.events) <= MOST_CALL_EVENTS:
        return judged
    rule = f"would make more than {MOST_CALL_EVENTS} impressions of one call; send it in another call"
    return Judged(refused(Violation("seen", "BATCH_TOO_LARGE", rule), "RETRY"))


def once(judged: Judged, tenant_id: int, seen: set[Identity]) -> Judged:
    """The first of several equal events of a call is appended; the others are as good as accepted."""
    if judged.event is None:
        return judged
    if not judged.more and (identity := identity_of(tenant_id, judged.event)) not in seen:
        seen.add(identity)
        return judged
    new = []
    for event in judged.events:
        known = len(seen)
        seen.add(identity_of(tenant_id, event))
        if len(seen) > known:
            new.append(event)
    if not new:
        told = Outcome(reason="DUPLICATE_IN_BATCH", message="stands earlier in the same call; counted once")
        return Judged(told, learned=judged.learned)
    return judged if len(new) == len(judged.events) else replace(judged, event=new[0], more=new[1:])


def weighed(judged: Judged, size_bytes: int) -> list[tuple[AcceptedEvent, int]]:
    """What is appended with the bytes it is taken to have; `size_bytes` is what was sent."""
    if judged.event is None:
        return []
    if not judged.more:
        return [(judged.event, size_bytes)]
    first = judged.events[0]
    each_bytes = _IMPRESSION_BYTES + len(first.user_id) + len(first.anonymous_id) + len(first.session_id)
    return [(event, each_bytes) for event in judged.events]


def batches(accepted: Sequence[tuple[AcceptedEvent, int]]) -> list[tuple[AcceptedEvent, ...]]:
    """One batch for each log entry, none larger than an entry may be."""
    filled: list[tuple[AcceptedEvent, ...]] = []
    current: list[AcceptedEvent] = []
    size = 0
    for event, event_bytes in accepted:
        if current and (size + event_bytes > MOST_ENTRY_BYTES or len(current) == MOST_ENTRY_EVENTS):
            filled.append(tuple(current))
            current, size = [], 0
        current.append(event)
        size += event_bytes
    filled.append(tuple(current))
    return filled
