"""How old an event may be: the table of edges."""

from uuid import UUID, uuid4

import pytest

from nearcast_ledger.event import Unlearned
from nearcast_ledger.horizon import EventProblem, judge_attribution, judge_event_id, judge_time
from nearcast_ledger.requestid import RequestIds

NOW_MS = 1_790_000_000_000
SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
YEAR = 365 * DAY


def at(offset_ms: int) -> UUID:
    return RequestIds(lambda: NOW_MS + offset_ms, bytes).next()


TIMES = [
    (0, None),
    (-7 * DAY, None),
    (-7 * DAY - 1, EventProblem.TOO_OLD),
    (-8 * DAY, EventProblem.TOO_OLD),
    (300 * SECOND, None),
    (300 * SECOND + 1, EventProblem.IN_FUTURE),
    (6 * 60 * SECOND, EventProblem.IN_FUTURE),
    (2 * YEAR, EventProblem.IN_FUTURE),
]


@pytest.mark.parametrize(("offset_ms", "problem"), TIMES)
def test_a_time_lies_within_the_horizon_or_not(offset_ms: int, problem: EventProblem | None) -> None:
    assert judge_time(NOW_MS + offset_ms, NOW_MS) is problem
    assert judge_event_id(at(offset_ms), NOW_MS) is problem


@pytest.mark.parametrize("event_id", [uuid4(), UUID(int=0), UUID(int=(1 << 128) - 1)])
def test_an_event_id_without_a_time_is_refused(event_id: UUID) -> None:
    assert judge_event_id(event_id, NOW_MS) is EventProblem.ID_FORMAT


def test_the_last_uuid7_there_can_be_is_refused_as_future() -> None:
    last = RequestIds(lambda: (1 << 48) - 1, lambda count: b"\xff" * count).next()
    assert judge_event_id(last, NOW_MS) is EventProblem.IN_FUTURE


@pytest.mark.parametrize(
    ("offset_ms", "window_hours", "verdict"),
    [
        (0, 24.0, Unlearned.LEARNED),
        (-24 * HOUR, 24.0, Unlearned.LEARNED),
        (-24 * HOUR - 1, 24.0, Unlearned.TOKEN_EXPIRED),
        (-7 * DAY, 24.0, Unlearned.TOKEN_EXPIRED),
        (-7 * DAY, 168.0, Unlearned.LEARNED),
        (-7 * DAY - 1, 168.0, EventProblem.TOO_OLD),
        (-7 * DAY - 1, 24.0, EventProblem.TOO_OLD),
        (-1000, 0.0005, Unlearned.LEARNED),
        (-2000, 0.0005, Unlearned.TOKEN_EXPIRED),
        (300 * SECOND, 24.0, Unlearned.LEARNED),
        (300 * SECOND + 1, 24.0, EventProblem.IN_FUTURE),
    ],
)
def test_an_attributed_event_is_learned_stored_or_refused_by_its_age(
    offset_ms: int, window_hours: float, verdict: Unlearned | EventProblem
) -> None:
    assert judge_attribution(at(offset_ms), window_hours, NOW_MS) is verdict
