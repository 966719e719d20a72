"""What becomes of one event, wherever it was reported: its form, its token, its age; judged once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from msgspec import Struct

from nearcast_catalogue.checking import Violation, check_id
from nearcast_catalogue.outcomes import OK, Outcome, refused
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.horizon import EventProblem, judge_attribution, judge_event_id, judge_time
from nearcast_ledger.keyring import Keyring
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import parse_uuid
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_ledger.sealing import TokenInvalidError
from nearcast_store.intake.seeing import Seen, form_problem, seen_of, single_problem
from nearcast_store.policies.protocol import Revision

MOST_EVENT_BYTES = 16384
MOST_VALUE = 1e9

# Looking a member up by its name costs more than all else that is done with it.
_LEARNED = Unlearned.LEARNED
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
class Grounds:
    """What an event of a tenant is judged by: the policy in force and the keys that verify."""

    tenant_id: int
    revision: Revision
    keyring: Keyring
    rewards: RewardTokens


class Report(Struct, frozen=True):
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
    slate_token: str = ""
    seen: bytes = b""
    dwell_ms: Sequence[int] = ()


class Judged(Struct, frozen=True):
    """What becomes of one event, and what is appended of it; `more` holds a slate's further impressions."""

    outcome: Outcome
    event: AcceptedEvent | None = None
    learned: bool = False
    more: Sequence[AcceptedEvent] = ()

    @property
    def events(self) -> Sequence[AcceptedEvent]:
        """All that is appended."""
        return () if self.event is None else (self.event, *self.more)


def judge(grounds: Grounds, report: Report, now_ms: int) -> Judged:
    """What becomes of one event, by itself."""
    problem = report.problem or _form_problem(report)
    if problem is not None:
        return Judged(refused(problem))
    kind = 1 if report.kind == "impression" else grounds.revision.kinds.get(report.kind)
    if kind is None or (kind != 1 and report.kind not in grounds.revision.policy.kinds):
        known = ", ".join(("impression", *grounds.revision.policy.kinds))
        return Judged(refused(Violation("kind", "KIND_UNKNOWN", f"must be one of {known}"), "RETRY"))
    shown, unlearned = _attribution(grounds, report)
    if not shown:
        return _unattributed(
            _event(report, kind, unlearned), report.event_id, now_ms, bool(report.slate_token)
        )
    seen = _seen(report, shown)
    if isinstance(seen, Violation):
        return Judged(refused(seen))
    # The sender's clock has no say: only the time inside the token counts.
    verdict = judge_attribution(shown[0].request_id, grounds.revision.policy.attribution.window_hours, now_ms)
    if isinstance(verdict, EventProblem):
        return _too_far("reward_token", verdict)
    more = [_event(report, kind, verdict, *each) for each in seen[1:]] if len(seen) > 1 else ()
    told, learned = (OK, True) if verdict is _LEARNED else (_TOLD[verdict], False)
    return Judged(told, _event(report, kind, verdict, *seen[0]), learned, more)


def _event(
    report: Report,
    kind: int,
    unlearned: Unlearned,
    claims: Claims | None = None,
    dwell_ms: int | None = None,
) -> AcceptedEvent:
    """What is appended of a report; where claims say which item it was, nothing else does."""
    return AcceptedEvent(
        kind=kind,
        unlearned=unlearned,
        claims=claims,
        event_id=parse_uuid(report.event_id) if report.event_id else None,
        item_id=report.item_id if claims is None else "",
        user_id=report.person.user_id,
        anonymous_id=report.person.anonymous_id,
        session_id=report.session_id,
        occurred_at_us=report.occurred_at_us,
        value=report.value,
        properties=report.properties,
        dwell_ms=dwell_ms,
    )


def _attribution(grounds: Grounds, report: Report) -> tuple[Sequence[Claims], Unlearned]:
    """The items that the report's token was made for; none when it proves nothing."""
    try:
        if report.slate_token:
            shown = grounds.rewards.verify_slate(report.slate_token, grounds.tenant_id)
        elif report.reward_token:
            shown = (grounds.rewards.verify(report.reward_token, grounds.tenant_id),)
        else:
            return (), Unlearned.TOKEN_MISSING
    except TokenInvalidError:
        return (), Unlearned.TOKEN_INVALID
    # Were the claims kept, whoever holds a copy of a token could use up the identity of the
    # person it was made for.
    if not _same_person(grounds, shown[0], report.person):
        return (), Unlearned.TOKEN_SUBJECT
    return shown, _LEARNED


def _seen(report: Report, shown: Sequence[Claims]) -> Sequence[Seen] | Violation:
    if report.slate_token:
        return seen_of(shown, report.seen, report.dwell_ms)
    return [(shown[0], report.dwell_ms[0] if report.dwell_ms else None)]


def _same_person(grounds: Grounds, claims: Claims, person: Person) -> bool:
    if claims.subject_hash == UNKNOWN_HASH or not (person.user_id or person.anonymous_id):
        return True
    key = grounds.keyring.key(claims.key_id)
    return key is not None and claims.subject_hash == subject_hash(
        key.secret, person.user_id, person.anonymous_id
    )


def _unattributed(event: AcceptedEvent, event_id: str, now_ms: int, of_slate: bool) -> Judged:
    if not event_id:
        told = _TOLD[event.unlearned]
        if event.unlearned is Unlearned.TOKEN_MISSING:
            return Judged(
                refused(Violation("event_id", "EVENT_ID_REQUIRED", "is required without a reward token"))
            )
        field = "slate_token" if of_slate and told.field == "reward_token" else told.field
        return Judged(
            refused(
                Violation(field, told.reason, "cannot be stored either: it has no event_id to be known by")
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
    if (problem := _name_problem(report)) is not None:
        return problem
    if report.event_id and parse_uuid(report.event_id) is None:
        return Violation("event_id", "EVENT_ID_FORMAT", _AGES[EventProblem.ID_FORMAT][1])
    if report.value is not None and not (math.isfinite(report.value) and 0 <= report.value <= MOST_VALUE):
        return Violation("value", "VALUE_OUT_OF_RANGE", f"must be a number from 0 to {MOST_VALUE:g}")
    return _slate_problem(report) if report.slate_token else single_problem(report.seen, report.dwell_ms)


def _name_problem(report: Report) -> Violation | None:
    person = report.person
    if not (report.item_id or person.user_id or person.anonymous_id or report.session_id):
        return None
    for field, value in (
        ("item_id", report.item_id),
        ("person.user_id", person.user_id),
        ("person.anonymous_id", person.anonymous_id),
        ("session_id", report.session_id),
    ):
        problems = check_id(field, value) if value else []
        if problems:
            return problems[0]
    return None


def _slate_problem(report: Report) -> Violation | None:
    if report.kind != "impression":
        return Violation("kind", "SLATE_FIELDS", "must be impression with a slate_token")
    for field, is_set in (
        ("reward_token", report.reward_token != ""),
        ("item_id", report.item_id != ""),
        ("value", report.value is not None),
        ("properties", report.properties != b""),
    ):
        if is_set:
            return Violation(field, "SLATE_FIELDS", "must be unset with a slate_token")
    return form_problem(report.seen, report.dwell_ms)
