"""The rule behind RecordEvents: judge each event once, append what is accepted, then say so."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from nearcast_catalogue.checking import Violation, check_id
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.horizon import EventProblem, judge_attribution, judge_event_id, judge_time
from nearcast_ledger.identity import Identity, identity_of
from nearcast_ledger.requestid import parse_uuid
from nearcast_ledger.sealing import TokenInvalidError
from nearcast_server.asking import Person
from nearcast_server.outcomes import OK, Outcome, refused
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.log.protocol import EventLog

MOST_EVENTS = 500
MOST_EVENT_BYTES = 16384
MOST_ENTRY_BYTES = 262144
MOST_VALUE = 1e9

_TOLD = {
    Unlearned.LEARNED: OK,
    Unlearned.TOKEN_MISSING: Outcome(
        reason="TOKEN_MISSING",
        message="stored, not learned from: it carries no reward token",
        field="reward_token",
    ),
    Unlearned.TOKEN_INVALID: Outcome(
        reason="TOKEN_INVALID",
        message="stored, not learned from: the reward token was not made here or was changed",
        field="reward_token",
    ),
    Unlearned.TOKEN_EXPIRED: Outcome(
        reason="TOKEN_EXPIRED",
        message="stored, not learned from: the item was shown longer ago than the attribution window",
        field="reward_token",
    ),
    Unlearned.TOKEN_SUBJECT: Outcome(
        reason="TOKEN_SUBJECT",
        message="stored, not learned from: the reward token was made for another person",
        field="person",
    ),
}
_AGES = {
    EventProblem.ID_FORMAT: ("EVENT_ID_FORMAT", "must be a UUIDv7 in its 36-character form"),
    EventProblem.TOO_OLD: (
        "EVENT_TOO_OLD",
        "lies more than 7 days back: it can no longer be told from a repeat",
    ),
    EventProblem.IN_FUTURE: ("EVENT_IN_FUTURE", "lies more than 5 minutes ahead of the server's clock"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """One event as sent, in plain values; `problem` when its form was already wrong."""

    kind: str
    reward_token: str
    event_id: str
    item_id: str
    person: Person
    session_id: str
    occurred_at_us: int | None
    value: float | None
    properties: bytes
    size_bytes: int
    problem: Violation | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of one event, and what is appended of it."""

    outcome: Outcome
    event: AcceptedEvent | None = None
    learned: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a call; `durability` None when nothing was accepted."""

    judged: Sequence[Judged]
    durability: Durability | None


class Recorder:
    """Takes events."""

    def __init__(
        self,
        log: EventLog,
        tenancies: Tenancies,
        clock: Callable[[], float],
        gateway_id: str,
        durability: Durability,
    ) -> None:
        self._log = log
        self._tenancies = tenancies
        self._clock = clock
        self._gateway_id = gateway_id
        self._durability = durability

    async def record(self, tenant_id: int, reports: Sequence[Report]) -> Recorded:
        """Judge, append, and only then answer."""
        view, now = self._tenancies.view(tenant_id), self._clock()
        judged: list[Judged] = []
        accepted: list[tuple[AcceptedEvent, int]] = []
        seen: set[Identity] = set()
        for report in reports:
            one = _once(judge(view, report, int(now * 1000)), tenant_id, seen)
            judged.append(one)
            if one.event is not None:
                accepted.append((one.event, report.size_bytes))
        return Recorded(judged, await self._append(tenant_id, int(now * 1_000_000), accepted))

    async def _append(
        self, tenant_id: int, now_us: int, accepted: Sequence[tuple[AcceptedEvent, int]]
    ) -> Durability | None:
        if not accepted:
            return None
        entries = [
            Entry(tenant_id, now_us, self._gateway_id, self._durability, events)
            for events in _batches(accepted)
        ]
        return min(await asyncio.gather(*(self._log.append(entry) for entry in entries)))


def judge(view: View, report: Report, now_ms: int) -> Judged:
    """What becomes of one event, by itself."""
    problem = report.problem or _form_problem(report)
    if problem is not None:
        return Judged(refused(problem))
    kind = 1 if report.kind == "impression" else view.revision.kinds.get(report.kind)
    if kind is None or (kind != 1 and report.kind not in view.revision.policy.kinds):
        known = ", ".join(("impression", *view.revision.policy.kinds))
        return Judged(refused(Violation("kind", "KIND_UNKNOWN", f"must be one of {known}"), "RETRY"))
    claims, unlearned = _attribution(view, report)
    event = AcceptedEvent(
        kind=kind,
        unlearned=unlearned,
        claims=claims,
        event_id=parse_uuid(report.event_id) if report.event_id else None,
        item_id="" if claims is not None else report.item_id,
        user_id=report.person.user_id,
        anonymous_id=report.person.anonymous_id,
        session_id=report.session_id,
        occurred_at_us=report.occurred_at_us,
        value=report.value,
        properties=report.properties,
    )
    if claims is not None:
        return _attributed(event, claims, view.revision.policy.attribution.window_hours, now_ms)
    return _unattributed(event, report.event_id, now_ms)


def _attribution(view: View, report: Report) -> tuple[Claims | None, Unlearned]:
    if not report.reward_token:
        return None, Unlearned.TOKEN_MISSING
    try:
        claims = view.tokens.rewards.verify(report.reward_token, view.tenant_id)
    except TokenInvalidError:
        return None, Unlearned.TOKEN_INVALID
    # Were the claims kept, whoever holds a copy of a token could use up the identity of the
    # person it was made for.
    if not _same_person(view, claims, report.person):
        return None, Unlearned.TOKEN_SUBJECT
    return claims, Unlearned.LEARNED


def _same_person(view: View, claims: Claims, person: Person) -> bool:
    if claims.subject_hash == UNKNOWN_HASH or not (person.user_id or person.anonymous_id):
        return True
    key = view.tokens.keyring.key(claims.key_id)
    return key is not None and claims.subject_hash == subject_hash(
        key.secret, person.user_id, person.anonymous_id
    )


def _attributed(event: AcceptedEvent, claims: Claims, window_hours: float, now_ms: int) -> Judged:
    """The sender's clock has no say: only the time inside the token counts."""
    verdict = judge_attribution(claims.request_id, window_hours, now_ms)
    if isinstance(verdict, EventProblem):
        return _too_far("reward_token", verdict)
    return Judged(_TOLD[verdict], replace(event, unlearned=verdict), learned=verdict is Unlearned.LEARNED)


def _unattributed(event: AcceptedEvent, event_id: str, now_ms: int) -> Judged:
    if not event_id:
        told = _TOLD[event.unlearned]
        if event.unlearned is Unlearned.TOKEN_MISSING:
            return Judged(
                refused(Violation("event_id", "EVENT_ID_REQUIRED", "is required without a reward token"))
            )
        return Judged(
            refused(
                Violation(
                    told.field, told.reason, "cannot be stored either: it has no event_id to be known by"
                )
            )
        )
    problem = judge_event_id(event.event_id or UUID(int=0), now_ms)
    if problem is not None:
        return _too_far("event_id", problem)
    if event.occurred_at_us is not None:
        problem = judge_time(event.occurred_at_us // 1000, now_ms)
        if problem is not None:
            return _too_far("occurred_at", problem)
    return Judged(_TOLD[event.unlearned], event)


def _too_far(field: str, problem: EventProblem) -> Judged:
    reason, message = _AGES[problem]
    return Judged(
        refused(Violation(field, reason, message), "RETRY" if problem is EventProblem.IN_FUTURE else "DROP")
    )


def _form_problem(report: Report) -> Violation | None:
    if report.size_bytes > MOST_EVENT_BYTES:
        return Violation(
            "", "EVENT_TOO_LARGE", f"has {report.size_bytes} bytes, at most {MOST_EVENT_BYTES} are taken"
        )
    if not report.kind:
        return Violation("kind", "REQUIRED_FIELD", "is required, such as impression, view, save or apply")
    for field, value in (
        ("item_id", report.item_id),
        ("person.user_id", report.person.user_id),
        ("person.anonymous_id", report.person.anonymous_id),
        ("session_id", report.session_id),
    ):
        problems = check_id(field, value) if value else []
        if problems:
            return problems[0]
    if report.event_id and parse_uuid(report.event_id) is None:
        return Violation("event_id", "EVENT_ID_FORMAT", _AGES[EventProblem.ID_FORMAT][1])
    if report.value is not None and not (math.isfinite(report.value) and 0 <= report.value <= MOST_VALUE):
        return Violation("value", "VALUE_OUT_OF_RANGE", f"must be a number from 0 to {MOST_VALUE:g}")
    return None


def _once(judged: Judged, tenant_id: int, seen: set[Identity]) -> Judged:
    """The first of several equal events of a call is appended; the others are as good as accepted."""
    if judged.event is None:
        return judged
    identity = identity_of(tenant_id, judged.event)
    if identity in seen:
        told = Outcome(reason="DUPLICATE_IN_BATCH", message="stands earlier in the same call; counted once")
        return Judged(told, learned=judged.learned)
    seen.add(identity)
    return judged


def _batches(accepted: Sequence[tuple[AcceptedEvent, int]]) -> list[tuple[AcceptedEvent, ...]]:
    """One batch for each log entry, none larger than an entry may be."""
    batches: list[tuple[AcceptedEvent, ...]] = []
    current: list[AcceptedEvent] = []
    size = 0
    for event, event_bytes in accepted:
        if current and size + event_bytes > MOST_ENTRY_BYTES:
            batches.append(tuple(current))
            current, size = [], 0
        current.append(event)
        size += event_bytes
    batches.append(tuple(current))
    return batches
