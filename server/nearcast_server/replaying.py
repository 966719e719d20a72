"""What a logged decision comes to when it is made again, or why there is nothing to make it from."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.build import build
from nearcast_bandit.record import DecisionRecord, Gap
from nearcast_bandit.redeciding import Difference, differences, redecide
from nearcast_config.policy import Policy
from nearcast_ledger.requestid import identity_day, uuid7_ms
from nearcast_server.choosing import explore_unit
from nearcast_server.decisionlog import log_unit
from nearcast_store.decisions.codec import UnreadableRecordError, unpack

Status = Literal["equal", "different", "not_logged", "not_replayable"]
Why = Literal[
    "",
    "RECORD_UNREADABLE",
    "RECORD_CONTRADICTORY",
    "CANDIDATES_CUT",
    "CANDIDATES_CHANGED",
    "CANDIDATES_MISSING",
    "NOT_YET",
    "TOO_OLD",
    "ON_ITS_WAY",
    "LOST",
    "NOT_OF_THE_SHARE",
]
EXIT_STATUS: dict[Status, int] = {"equal": 0, "different": 1, "not_logged": 3, "not_replayable": 4}
_ON_ITS_WAY = timedelta(seconds=30)


class Replayed(Struct, frozen=True):
    """How it went. `reason` is stable, and empty for what was made again; `record` is what was read."""

    status: Status
    reason: Why = ""
    message: str = ""
    record: DecisionRecord | None = None
    differences: Sequence[Difference] = ()

    @property
    def is_other_build(self) -> bool:
        """Whether another build had decided."""
        return self.record is not None and self.record.circumstances.build != build()


class Habits(Struct, frozen=True):
    """What decided whether a request was logged: the tenant's policy and salts, and how long is kept."""

    tenant_id: int
    policy: Policy
    salts: Sequence[bytes]
    keep_days: int


def replay(raw: bytes) -> Replayed:
    """A record that was kept."""
    try:
        record = unpack(raw)
    except UnreadableRecordError as error:
        return Replayed("not_replayable", "RECORD_UNREADABLE", f"the record cannot be read: {error}")
    if record.pool is None:
        return _without_candidates(record)
    try:
        found = differences(record.outcome, redecide(record))
    except ValueError as error:
        return Replayed("not_replayable", "RECORD_CONTRADICTORY", f"its inputs do not fit: {error}", record)
    return Replayed("different" if found else "equal", record=record, differences=found)


def _without_candidates(record: DecisionRecord) -> Replayed:
    said = record.circumstances
    gaps: dict[Gap, tuple[Why, str]] = {
        "cut": (
            "CANDIDATES_CUT",
            (
                f"too many candidates for a record: {said.eligible} competed; it keeps what was answered, not"
                " what it was chosen from"
            ),
        ),
        "changed": (
            "CANDIDATES_CHANGED",
            "its candidates were changing while they were read, so they were not kept",
        ),
    }
    reason, message = gaps.get(said.gap, ("CANDIDATES_MISSING", "the record holds no candidates"))
    return Replayed("not_replayable", reason, message, record)


def why_not_logged(request_id: UUID, habits: Habits, now: datetime) -> Replayed:
    """The most that can be told of a decision without a record."""
    made_at = datetime.fromtimestamp(uuid7_ms(request_id) / 1000, UTC)
    oldest = now.date() - timedelta(habits.keep_days)
    if made_at > now + _ON_ITS_WAY:
        return Replayed("not_logged", "NOT_YET", f"its time is {_shown(made_at)}, which is still to come")
    if identity_day(request_id) < oldest:
        return Replayed("not_logged", "TOO_OLD", _too_old(made_at, oldest, habits.keep_days))
    if now - made_at < _ON_ITS_WAY:
        return Replayed(
            "not_logged", "ON_ITS_WAY", "it is seconds old: if it was logged, its record is still on its way"
        )
    share, decisions = habits.policy.exploration.share, habits.policy.decisions
    units = [
        (explore_unit(salt, habits.tenant_id, request_id), log_unit(salt, habits.tenant_id, request_id))
        for salt in habits.salts
    ]
    if any(explored < share or logged < decisions.log_share for explored, logged in units):
        return Replayed(
            "not_logged",
            "LOST",
            "its id is one of those that are logged, so it was given up on the way, or no such request was"
            " answered; nearcast_server_decisions_total and nearcast_statskeeper_decisions_total count why",
        )
    return Replayed(
        "not_logged",
        "NOT_OF_THE_SHARE",
        f"it is not of the share that is logged (decisions.log_share = {decisions.log_share:g}), did not"
        " explore and did not ask for an explanation; or no such request was answered",
    )


def _too_old(made_at: datetime, oldest: date, keep_days: int) -> str:
    return (
        f"it is of {_shown(made_at)}; decisions are kept for {keep_days} days, since {oldest}"
        " (keeper.decision_keep_days)"
    )


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
