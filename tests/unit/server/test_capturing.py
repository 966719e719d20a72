"""The pool of a decision is what competed while it was made, or there is none."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from nearcast_bandit.factors import Factors
from nearcast_geo.point import Point
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.query import Found, Integers, Mode, Order, Query
from nearcast_server import capturing
from nearcast_server.capturing import Capture

KINDS = (2, 3)
ORDER = Order(Mode.DRAW, ((2, 1.0),), priors={2: (1.0, 9.0), 3: (2.0, 8.0)})
QUERY = Query(Point(0.0, 0.0), [1000.0], 5, 100, 0.0, ORDER, 2)


class Segment(dict[str, Any]):
    """Four items; of kind 2 something was told of the second."""

    shape = SimpleNamespace(kinds=(2,))

    def __init__(self) -> None:
        words = np.zeros((1, 4), np.uint64)
        words.view("<f4").reshape(1, 4, 2)[0, 1] = (5.0, 50.0)
        super().__init__(stats=words, born_at=np.arange(4, dtype=np.float64), posting=np.arange(10, 14))

    def tell(self, a: float) -> None:
        self["stats"].view("<f4").reshape(1, 4, 2)[0, 0] = (a, 10.0)


class Answers:
    """Four compete and as many as are wanted are found; `meanwhile` happens with each answer."""

    def __init__(self, meanwhile: Callable[[int], None] = lambda number: None) -> None:
        self.asked: list[Query] = []
        self._meanwhile = meanwhile

    def answer(self, segment: Any, dictionaries: Any, query: Query) -> Found:
        self.asked.append(query)
        self._meanwhile(len(self.asked))
        slots = np.arange(min(query.limit, 4))
        metres = 100.0 * slots.astype(np.float64)
        return Found(slots, slots + 10, metres, slots * 0, -metres, 4, 1000.0, False, True)

    def competitors(self) -> Integers:
        return np.arange(4)

    def factors(self) -> NDArray[np.float64]:
        return np.array([1.0, 2.0, 0.5, 1.0])


def capture(answers: Answers, segment: Any) -> Capture:
    return Capture(answers, segment, Dictionaries(), KINDS)


def test_the_pool_is_everything_with_what_was_told_or_the_prior() -> None:
    found, pool = capture(Answers(), Segment()).take(QUERY)
    assert found.slots.size == 2
    assert pool is not None
    assert pool.postings.tolist() == [10, 11, 12, 13]
    assert pool.distances_m is None
    assert pool.born_at is not None
    assert pool.born_at.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert pool.a.tolist() == [[1.0, 5.0, 1.0, 1.0], [2.0] * 4]
    assert pool.b.tolist() == [[9.0, 50.0, 9.0, 9.0], [8.0] * 4]


def test_what_scores_were_multiplied_with_is_there_where_it_was_asked_for() -> None:
    _, plain = capture(Answers(), Segment()).take(QUERY)
    _, pool = capture(Answers(), Segment()).take(replace(QUERY, factors=Factors(distance_half_m=100.0)))
    assert plain is not None
    assert plain.factors is None
    assert pool is not None
    assert pool.factors is not None
    assert pool.factors.tolist() == [1.0, 2.0, 0.5, 1.0]


def test_an_order_by_distance_has_the_distances_of_its_answer() -> None:
    found, pool = capture(Answers(), Segment()).take(replace(QUERY, order=Order(Mode.NEAREST)))
    assert (found.slots.tolist(), found.scores.tolist()) == ([0, 1], [0.0, -100.0])
    assert pool is not None
    assert pool.distances_m is not None
    assert pool.distances_m.tolist() == [0.0, 100.0, 200.0, 300.0]


def test_what_changed_while_it_was_read_is_read_again() -> None:
    segment = Segment()
    answers = Answers(lambda number: segment.tell(7.0) if number == 2 else None)
    _, pool = capture(answers, segment).take(QUERY)
    assert pool is not None
    assert pool.a[0, 0] == 7.0
    assert len(answers.asked) == 4


def test_what_never_keeps_still_has_no_pool_and_is_answered() -> None:
    segment = Segment()
    found, pool = capture(Answers(lambda number: segment.tell(float(number))), segment).take(QUERY)
    assert pool is None
    assert found.slots.size == 2


def test_what_is_too_large_is_answered_without_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capturing, "MOST_CAPTURED", 3)
    answers = Answers()
    found, pool = capture(answers, Segment()).take(QUERY)
    assert pool is None
    assert (found.eligible, len(answers.asked)) == (4, 2)
