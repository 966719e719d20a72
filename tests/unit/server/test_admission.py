"""How the ladder moves, by readings that a test makes up."""

from collections.abc import Iterable

import pytest

from nearcast_server.admission import (
    FEWEST_EVENTS,
    FIRST_RETRY_S,
    JITTER,
    LONGEST_RETRY_S,
    REOPENS_AT,
    STEP_EVENTS,
    Level,
    Span,
    Standing,
    next_standing,
    retry_after_s,
)
from nearcast_server.recording import MOST_EVENTS

SPANS = {"backlog": Span(100.0, 200.0), "memory": Span(0.7, 0.9), "append": Span(1.0, 5.0)}
QUIET = {"backlog": 0.0, "memory": 0.1, "append": 0.01}


def climb(readings: Iterable[float], before: Standing | None = None, name: str = "backlog") -> list[Standing]:
    """The standings at one reading after the other, while the others are quiet."""
    standings, last = [], before or Standing()
    for reading in readings:
        last = next_standing(last, {**QUIET, name: reading}, SPANS)
        standings.append(last)
    return standings


def test_while_nothing_presses_all_is_taken() -> None:
    assert next_standing(Standing(), QUIET, SPANS) == Standing(Level.OPEN, 0.0, "", MOST_EVENTS)
    assert next_standing(Standing(), {}, SPANS) == Standing()


@pytest.mark.parametrize(
    ("name", "narrow", "close"), [("backlog", 150.0, 200.0), ("memory", 0.8, 0.9), ("append", 3.0, 5.0)]
)
def test_each_reading_first_narrows_and_then_closes(name: str, narrow: float, close: float) -> None:
    half, full = climb([narrow, close], name=name)
    assert (half.level, half.cause, half.advised_events) == (Level.NARROW, name, 275)
    assert (full.level, full.cause, full.advised_events) == (Level.CLOSED, name, FEWEST_EVENTS)


def test_the_reading_that_presses_most_is_the_cause() -> None:
    standing = next_standing(Standing(), {"backlog": 120.0, "memory": 0.85, "append": 1.1}, SPANS)
    assert standing.cause == "memory"
    assert standing.pressure == pytest.approx(0.75)


def test_batches_shrink_at_once_and_grow_step_by_step() -> None:
    advised = [standing.advised_events for standing in climb([180.0, 0.0, 0.0, 199.0, 0.0])]
    assert advised == [140, 140 + STEP_EVENTS, 140 + 2 * STEP_EVENTS, 54, 54 + STEP_EVENTS]


def test_it_is_open_again_only_when_batches_have_their_size_again() -> None:
    standings = climb([190.0] + [0.0] * 20)
    levels = [standing.level for standing in standings]
    assert levels == sorted(levels, reverse=True)
    first_open = levels.index(Level.OPEN)
    assert first_open == -(-(MOST_EVENTS - standings[0].advised_events) // STEP_EVENTS)


def test_what_is_closed_does_not_open_while_it_swings_about_the_limit() -> None:
    swing = [199.0, 201.0, 195.0, 203.0, 181.0, 200.0]
    assert [each.level for each in climb([201.0, *swing])] == [Level.CLOSED] * 7
    still, opened = climb([100.0 + 100 * REOPENS_AT + 0.1, 100.0 + 100 * REOPENS_AT], climb([250.0])[0])
    assert (still.level, opened.level) == (Level.CLOSED, Level.NARROW)
    assert opened.advised_events == FEWEST_EVENTS + STEP_EVENTS


def test_pressure_that_never_reached_the_limit_never_closes() -> None:
    assert Level.CLOSED not in [each.level for each in climb([199.9, 150.0, 199.9, 181.0])]


def test_a_sender_is_told_to_wait_longer_the_greater_the_pressure() -> None:
    waits = [retry_after_s(pressure, 0.0) for pressure in (0.5, 1.0, 1.2, 1.4, 2.0, 1e12)]
    assert waits == [
        FIRST_RETRY_S,
        FIRST_RETRY_S,
        *map(pytest.approx, (2.0, 4.0)),
        LONGEST_RETRY_S,
        LONGEST_RETRY_S,
    ]


def test_not_all_senders_are_told_the_same() -> None:
    waits = [retry_after_s(1.2, chance / 10) for chance in range(10)]
    assert waits == sorted(set(waits))
    assert waits[0] == pytest.approx(2.0)
    assert waits[-1] < 2.0 * (1 + JITTER)
