"""What is a goal reached, for what each benchmark measures."""

import pytest

from benchmarks.decision.__main__ import POINTS, Cell
from benchmarks.decision.__main__ import cells as cells_of
from benchmarks.decision.__main__ import judged as decided
from benchmarks.goals import at_least, at_most, told
from benchmarks.markets.__main__ import Way
from benchmarks.markets.__main__ import judged as looked_up
from benchmarks.replica.build import judged as built
from benchmarks.suite.reading import recommend_rows, rows_of


@pytest.mark.parametrize(("ratio", "reached"), [(0.79, False), (0.80, True), (0.81, True)])
def test_at_least_is_reached_from_the_goal_on(ratio: float, reached: bool) -> None:
    assert at_least("a", "b", ratio, 0.80).reached is reached


@pytest.mark.parametrize(("ratio", "reached"), [(1.6, False), (1.5, True), (0.0, True)])
def test_at_most_is_reached_up_to_the_goal(ratio: float, reached: bool) -> None:
    assert at_most("a", "b", ratio, 1.5).reached is reached


def test_without_a_goal_nothing_is_reached_or_missed() -> None:
    assert told("a", "b", 3.0).reached is None


def cells(candidates: int, one_kind_us: float, three_kinds_us: float) -> list[Cell]:
    medians = {
        "GEOSEARCH": 1000.0,
        "decision, kinds: 1": one_kind_us,
        "decision, kinds: 3": three_kinds_us,
        "plain way, kinds: 1": 4000.0,
        "SQLite R*Tree, nearest 20": 2000.0,
        "SQLite R*Tree, 20 at random": 3000.0,
    }
    return [Cell(candidates, way, us, 9 * us, 99 * us, us / 1000.0) for way, us in medians.items()]


def test_a_way_takes_what_each_point_took_at_the_least() -> None:
    quiet, busy = [10.0] * (POINTS - 1) + [30.0], [500.0] * POINTS

    geosearch, decision = cells_of(400, {"GEOSEARCH": [100.0] * 2 * POINTS, "a": [*busy, *quiet]})

    assert (decision.least_us, decision.ratio) == (10.0, 0.1)
    assert decision.median_us > 10.0
    assert geosearch.ratio == 1.0


def test_a_decision_is_judged_beside_geosearch_and_told_beside_the_others() -> None:
    rows = decided(cells(400, 60.0, 90.0), ["SQLite R*Tree"])

    assert [(row.ratio, row.goal, row.reached) for row in rows[:2]] == [
        (0.06, 1 / 20, False),
        (0.09, 1 / 10, True),
    ]
    assert {row.against: row.ratio for row in rows[2:]} == {
        "SQLite R*Tree, nearest 20": 0.03,
        "SQLite R*Tree, 20 at random": 0.02,
        "plain way, kinds: 1": 0.015,
    }


def test_forty_candidates_have_no_goal() -> None:
    assert all(row.reached is None for row in decided(cells(38, 60.0, 90.0), []))


def test_a_replica_is_judged_by_its_largest() -> None:
    small = {"items": 1e6, "hot_bytes": 75.0, "restore_s": 0.2}
    large = {"items": 1e7, "hot_bytes": 64.0, "restore_s": 6.0}

    weight, restored = built([small, large])

    assert weight.reached
    assert restored.ratio == pytest.approx(1.2)
    assert not restored.reached


def test_a_market_is_told_beside_the_tree_alone() -> None:
    ways = [Way("many at once", "all", 50.0), Way("STRtree with predicate, not prepared", "all", 1000.0)]
    assert [row.ratio for row in looked_up(ways)] == [0.05]


MEDIANS = {
    "empty call": (1000.0, 2.0),
    "plain way, 400": (100.0, 30.0),
    "plain way, 8,000": (10.0, 90.0),
    "replica: anonymous, 40": (900.0, 2.0),
    "replica: anonymous, 400": (810.0, 3.2),
    "replica: anonymous, 8,000": (250.0, 3.9),
    "replica: signed in, 400": (600.0, 4.0),
}


def test_recommend_is_judged_beside_the_empty_call_the_plain_way_and_itself() -> None:
    medians = [
        {"name": name, "calls_per_s": rate, "open_p99_ms": late} for name, (rate, late) in MEDIANS.items()
    ]

    rows = rows_of("recommend", {"medians": medians})

    assert [round(row.ratio, 2) for row in rows] == [0.81, 1.6, 0.6, 8.1, 25.0, 1.95]
    assert [row.reached for row in rows] == [True, False, False, True, True, True]


def test_without_the_replica_recommend_has_nothing_to_say() -> None:
    assert recommend_rows({"empty call": {"calls_per_s": 1.0, "open_p99_ms": 1.0}}) == []


def test_rows_that_a_benchmark_prints_are_taken_as_they_are() -> None:
    row = {"what": "a", "against": "b", "ratio": 0.5, "goal": 1, "bound": "at most", "reached": True}
    assert rows_of("recommend", {"rows": [row], "medians": []}) == [at_most("a", "b", 0.5, 1.0)]
