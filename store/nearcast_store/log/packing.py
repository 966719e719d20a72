"""Many events in few bytes: every field has its place, and what the events of a slate share stands once."""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct, error
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.requestid import uuid_of

NO_DECISION = 2**16 - 1
NO_TIME_US = -(2**63)
NO_DWELL = 2**32 - 1
NOTHING_SAID = AcceptedEvent(0, Unlearned.LEARNED)

DECISION = np.dtype(
    [
        ("high", ">u8"),
        ("low", ">u8"),
        ("feed", "<u2"),
        ("feed_propensity", "<f8"),
        ("scenario", "<u2"),
        ("market", "<u4"),
        ("policy_revision", "<i8"),
        ("policy_epoch", "<i8"),
        ("explore", "u1"),
        ("key_id", "<u2"),
        ("subject_hash", "V8"),
        ("session_hash", "V8"),
    ]
)
"""What a slate's claims share; `high` and `low` are the two halves of the request id."""

EVENT = np.dtype(
    [
        ("decision", "<u2"),
        ("detail", "<u2"),
        ("posting", "<i8"),
        ("position", "<u2"),
        ("kind", "<u2"),
        ("unlearned", "u1"),
        ("occurred_at_us", "<i8"),
        ("dwell_ms", "<u4"),
    ]
)
"""`decision` and `detail` are places among those packed beside it, details counted from 1; 0 is none."""

_DECISION = Struct("<16sHdHIqq?H8s8s")
_EVENT = Struct("<HHqHHBqI")
_UNLEARNED = tuple(Unlearned)
_HASH_BYTES = 8


class Packed(NamedTuple):
    """Decisions and events as DECISION and EVENT; `details` say what hardly any event says, and no more."""

    decisions: bytes
    events: bytes
    details: Sequence[AcceptedEvent]

    @property
    def size(self) -> int:
        """How many events."""
        return len(self.events) // _EVENT.size


class PackedEvents(Sequence[AcceptedEvent]):
    """The events of one tenant that were packed; each is made when it is asked for."""

    def __init__(self, tenant_id: int, packed: Packed) -> None:
        """Raises ValueError for what no events were packed to."""
        self._tenant_id = tenant_id
        self.packed = packed
        problem = _problem(packed)
        if problem:
            raise ValueError(problem)

    def __len__(self) -> int:
        return self.packed.size

    @overload
    def __getitem__(self, place: int) -> AcceptedEvent: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[AcceptedEvent, ...]: ...
    def __getitem__(self, place: int | slice) -> AcceptedEvent | tuple[AcceptedEvent, ...]:
        if isinstance(place, slice):
            return tuple(self._event(each) for each in range(*place.indices(len(self))))
        return self._event(range(len(self))[place])

    def __iter__(self) -> Iterator[AcceptedEvent]:
        return map(self._event, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _event(self, place: int) -> AcceptedEvent:
        decision, detail, posting, position, kind, unlearned, occurred_at_us, dwell_ms = _EVENT.unpack_from(
            self.packed.events, place * _EVENT.size
        )
        claims = None
        if decision != NO_DECISION:
            start = decision * _DECISION.size
            raw = self.packed.decisions[start : start + _DECISION.size]
            claims = claims_of(self._tenant_id, posting, position, raw)
        said = self.packed.details[detail - 1] if detail else NOTHING_SAID
        return event_of(kind, unlearned, claims, said, occurred_at_us, dwell_ms)


def claims_of(tenant_id: int, posting: int, position: int, decision: bytes) -> Claims:
    """The claims of one item of a packed decision."""
    request_id, feed, propensity, scenario, market, *more = _DECISION.unpack(decision)
    revision, epoch, explore, key_id, subject_hash, session_hash = more
    shown = (tenant_id, uuid_of(request_id), posting, position)
    decided = (feed, propensity, scenario, market, revision, epoch, explore)
    return Claims(*shown, *decided, subject_hash, session_hash, key_id)


def event_of(
    kind: int, unlearned: int, claims: Claims | None, said: AcceptedEvent, occurred_at_us: int, dwell_ms: int
) -> AcceptedEvent:
    """As it was before it was packed; `said` are its details."""
    return AcceptedEvent(
        kind,
        _UNLEARNED[unlearned],
        claims,
        *(said.event_id, said.item_id, said.user_id, said.anonymous_id, said.session_id),
        None if occurred_at_us == NO_TIME_US else occurred_at_us,
        said.value,
        said.properties,
        None if dwell_ms == NO_DWELL else dwell_ms,
    )


def pack_events(events: Iterable[AcceptedEvent]) -> Packed | None:
    """None when one of them holds what has no place here, such as a number that is too large."""
    decisions: dict[bytes, int] = {}
    details: dict[object, int] = {}
    said: list[AcceptedEvent] = []
    packed = []
    try:
        for event in events:
            claims = event.claims
            decision, detail, posting, position = NO_DECISION, 0, 0, 0
            if claims is not None:
                decision = decisions.setdefault(_packed_decision(claims), len(decisions))
                posting, position = claims.posting, claims.position
            if (more := _more_said(event)) is not None:
                detail = details.setdefault(more, len(details) + 1)
                if detail > len(said):
                    said.append(event)
            packed.append(
                _EVENT.pack(decision, detail, posting, position, event.kind, event.unlearned, *_times(event))
            )
    except error:
        return None
    return Packed(b"".join(decisions), b"".join(packed), said) if len(decisions) <= NO_DECISION else None


def _packed_decision(claims: Claims) -> bytes:
    if len(claims.subject_hash) != _HASH_BYTES or len(claims.session_hash) != _HASH_BYTES:
        raise error("a hash of another length")
    return _DECISION.pack(
        claims.request_id.bytes,
        claims.feed,
        claims.feed_propensity,
        claims.scenario,
        claims.market,
        claims.policy_revision,
        claims.policy_epoch,
        claims.explore,
        claims.key_id,
        claims.subject_hash,
        claims.session_hash,
    )


def _more_said(event: AcceptedEvent) -> object | None:
    """What events that say the same have in common; None when there is nothing."""
    if event.event_id is not None or event.value is not None or event.properties:
        return event
    if event.item_id or event.user_id or event.anonymous_id or event.session_id:
        return event.item_id, event.user_id, event.anonymous_id, event.session_id
    return None


def _times(event: AcceptedEvent) -> tuple[int, int]:
    occurred_at_us, dwell_ms = event.occurred_at_us, event.dwell_ms
    if occurred_at_us == NO_TIME_US or dwell_ms == NO_DWELL:
        raise error("what stands for nothing cannot be said")
    time_us = NO_TIME_US if occurred_at_us is None else occurred_at_us
    return time_us, NO_DWELL if dwell_ms is None else dwell_ms


def _problem(packed: Packed) -> str:
    """In words what makes these no packed events; empty when they are some."""
    if len(packed.decisions) % DECISION.itemsize:
        return f"decisions have {len(packed.decisions)} bytes, must have {DECISION.itemsize} each"
    if len(packed.events) % EVENT.itemsize:
        return f"packed_events have {len(packed.events)} bytes, must have {EVENT.itemsize} each"
    return _problem_of_any(np.frombuffer(packed.events, EVENT), packed) if packed.events else ""


def _problem_of_any(events: NDArray[Any], packed: Packed) -> str:
    decisions, known = events["decision"], len(packed.decisions) // DECISION.itemsize
    if decisions.max() >= known and not ((decisions < known) | (decisions == NO_DECISION)).all():
        return f"an event is of a decision beyond the {known} that are there"
    if events["detail"].max() > len(packed.details):
        return f"an event has a detail beyond the {len(packed.details)} that are there"
    if events["unlearned"].max() >= len(_UNLEARNED):
        return f"unlearned_reason is {events['unlearned'].max()}, which has no meaning"
    return ""
