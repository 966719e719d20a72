"""How late or early an event may be; judged once, at the gateway, against the server's clock."""

from datetime import UTC, date, datetime, timedelta
from enum import Enum
from uuid import UUID

from nearcast_ledger.event import Unlearned
from nearcast_ledger.requestid import is_uuid7, uuid7_ms

HORIZON_HOURS = 168
# How long the log keeps what was folded, so that it can be folded again into a Postgres that came back from a
# backup: whatever an event of the horizon needs must be kept for so much longer.
REPLAY_WINDOW_HOURS = 24
FUTURE_TOLERANCE_S = 300
# Beyond both, what a day's end and clocks that differ may take.
SPARE_DAYS = 2

_MS_PER_HOUR = 3_600_000
# Looking a member up by its name takes as long as the rest of a judgement.
_LEARNED = Unlearned.LEARNED
_HORIZON_MS = HORIZON_HOURS * _MS_PER_HOUR
_FUTURE_TOLERANCE_MS = FUTURE_TOLERANCE_S * 1000


class EventProblem(Enum):
    """Why an event is refused; the values are the public error reasons."""

    ID_FORMAT = "EVENT_ID_FORMAT"
    TOO_OLD = "EVENT_TOO_OLD"
    IN_FUTURE = "EVENT_IN_FUTURE"


def judge_time(time_ms: int, now_ms: int) -> EventProblem | None:
    """Whether a time lies in [now - 7 days, now + 5 minutes]."""
    if now_ms - time_ms > _HORIZON_MS:
        return EventProblem.TOO_OLD
    if time_ms - now_ms > _FUTURE_TOLERANCE_MS:
        return EventProblem.IN_FUTURE
    return None


def first_kept_day(now_s: float, oldest_entry_s: float | None) -> date:
    """The first identity day that an event can still belong to; `oldest_entry_s` is the log's, if it has any.

    Whatever the log holds can be folded again, and was accepted with an age of at most the horizon.
    """
    foldable_s = now_s - REPLAY_WINDOW_HOURS * 3600
    if oldest_entry_s is not None:
        foldable_s = min(foldable_s, oldest_entry_s)
    oldest = datetime.fromtimestamp(foldable_s, UTC) - timedelta(hours=HORIZON_HOURS, days=SPARE_DAYS)
    return oldest.date()


def judge_event_id(event_id: UUID, now_ms: int) -> EventProblem | None:
    """Whether an event without a reward token can be stored under its own id."""
    if not is_uuid7(event_id):
        return EventProblem.ID_FORMAT
    return judge_time(uuid7_ms(event_id), now_ms)


def judge_attribution(request_id: UUID, window_hours: float, now_ms: int) -> Unlearned | EventProblem:
    """What becomes of an event whose reward token verified.

    Within the window it is learned from (LEARNED); later it is stored under the same identity and not
    learned from (TOKEN_EXPIRED); beyond the horizon it is refused, as the partition that knows whether it
    was counted may be gone.
    """
    shown_ms = uuid7_ms(request_id)
    problem = judge_time(shown_ms, now_ms)
    if problem is not None:
        return problem
    in_window = now_ms - shown_ms <= window_hours * _MS_PER_HOUR
    return _LEARNED if in_window else Unlearned.TOKEN_EXPIRED
