"""The chances of a logged slate: integrals against the draws themselves, and what is drawn again."""

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pytest

from nearcast_bandit.arranging import Candidate, Layout
from nearcast_bandit.evaluation.believing import under_priors
from nearcast_bandit.evaluation.chances import chances, is_plain
from nearcast_bandit.evaluation.slates import Chances, Side, Way, slate_rows
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import (
    Circumstances,
    DecisionRecord,
    FeedChoice,
    Ordering,
    Outcome,
    Pool,
)
from nearcast_bandit.redeciding import redecide
from nearcast_ledger.requestid import uuid7

ITEMS, PLACES = 8, 3
RNG = np.random.default_rng(3)
POOL = Pool(
    np.array([30, 10, 50, 20, 70, 40, 60, 80]),
    np.array([4.0, 2.0, 8.0, 1.0, 3.0, 7.0, 6.0, 5.0]),
    None,
    (2, 3),
    RNG.gamma(4, 2, (2, ITEMS)) + 0.5,
    RNG.gamma(9, 4, (2, ITEMS)) + 5,
)
SAID = Circumstances(uuid7(1, 1), 1, 0.0, "a test", "share", 1, 1, "default", 0, 1000.0, False, ITEMS)


def ordering(order: str = "draw", **other: object) -> Ordering:
    usual = Ordering(order, (2, 3), (1.0, 3.0), 1.0, 5, 9, PLACES)  # type: ignore[arg-type]
    return msgspec.structs.replace(usual, **other)


def record(ordered: Ordering) -> DecisionRecord:
    drawn = DecisionRecord(
        SAID,
        FeedChoice((), 0.0, 0.0, 0.0, resumed=True),
        ordered,
        (),
        Outcome("draw", 1.0, False, (), ()),
        POOL,
    )
    return replace(drawn, outcome=redecide(drawn))


@dataclass(frozen=True, slots=True)
class RuledRecord(DecisionRecord):
    """As if a decision had a rule that acts after the draw."""

    rule: str = field(default="")


class RuledOrdering(Ordering, frozen=True):
    rule: int = 0


@pytest.mark.parametrize(
    "ordered", [ordering(kinds=(2,), weights=(2.0,)), ordering(), ordering(sharpness=0.5)]
)
def test_what_is_integrated_is_what_is_drawn(ordered: Ordering) -> None:
    found = chances(record(ordered), PLACES)
    tally, seeds = np.zeros((ITEMS, PLACES)), 1_500
    for seed in range(seeds):
        shown = redecide(record(msgspec.structs.replace(ordered, seed=seed))).postings
        tally[[POOL.postings.tolist().index(each) for each in shown], range(PLACES)] += 1
    spread = np.sqrt(found * (1 - found) / seeds)
    # One false alarm in a million, over 24 cells.
    assert (np.abs(tally / seeds - found) <= 5.5 * spread + 1e-4).all()
    assert found.sum(axis=0) == pytest.approx(np.ones(PLACES))


@pytest.mark.parametrize("order", ["nearest", "most"])
def test_an_order_without_draws_is_certain(order: str) -> None:
    taken = record(ordering(order, kinds=(2,), weights=(1.0,)))
    found = chances(taken, PLACES)
    assert found.sum() == PLACES
    shown = [POOL.postings[row] for row in found.argmax(axis=0)]
    assert shown == list(taken.outcome.postings)


def test_a_shuffle_shows_each_of_its_pool_as_often_everywhere() -> None:
    found = chances(record(ordering("explore")), PLACES)
    assert sorted(set(found.reshape(-1).tolist())) == [0.0, 0.2]
    assert found.sum(axis=0) == pytest.approx(1)
    assert ((found > 0).sum(axis=0) == 5).all()


def test_a_record_that_says_more_is_drawn_again() -> None:
    plain = record(ordering())
    assert is_plain(plain)
    parts = {name: getattr(plain, name) for name in DecisionRecord.__slots__}
    orders = [RuledOrdering(**msgspec.structs.asdict(plain.ordering), rule=rule) for rule in (0, 1)]
    assert [is_plain(replace(plain, ordering=each)) for each in orders] == [True, False]
    assert is_plain(RuledRecord(**parts))
    ruled = RuledRecord(**parts, rule="diversity")
    assert not is_plain(ruled)
    drawn, exact = chances(ruled, PLACES, draws=2_000), chances(plain, PLACES)
    assert np.allclose(drawn * 2_000, np.round(drawn * 2_000))
    assert np.abs(drawn - exact).max() < 0.06


@pytest.mark.parametrize("least", [0.5, 0.0])
def test_factors_are_honoured(least: float) -> None:
    factored = replace(POOL, factors=np.linspace(least, 1.5, ITEMS))
    found, tally = chances(replace(record(ordering()), pool=factored), PLACES), np.zeros((ITEMS, PLACES))
    for seed in range(1_500):
        seeded = replace(record(ordering(seed=seed)), pool=factored)
        shown = [POOL.postings.tolist().index(each) for each in redecide(seeded).postings]
        tally[shown, range(PLACES)] += 1
    # Where a factor is 0 both are draws.
    spread = np.sqrt(2 * found * (1 - found) / 1_500)
    assert (np.abs(tally / 1_500 - found) <= 5.5 * spread + 1e-4).all()


def test_a_pinned_place_is_left_out() -> None:
    pinned = replace(record(ordering()), layout=Layout(PLACES, pins=((1, Candidate(70)),)))
    pinned = replace(pinned, outcome=redecide(pinned))
    assert pinned.outcome.postings[1] == 70
    side = Side([Way(ordering(), 1.0)], POOL)
    rows = slate_rows(pinned, side, [side], np.ones(ITEMS), PLACES, Chances(200))
    assert rows.places.tolist() == [0, 2]
    assert rows.targets[0].target == pytest.approx(rows.logged)


def test_a_record_without_its_candidates_has_no_chances() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        chances(replace(record(ordering()), pool=None), PLACES)


def test_probabilities_are_those_over_all_ways_that_go_by_beliefs() -> None:
    draw, shuffle = ordering(), ordering("explore")
    logged = Side([Way(draw, 0.7), Way(shuffle, 0.1), Way(ordering("nearest"), 0.2)], POOL)
    target = Side([Way(draw, 0.5), Way(ordering("nearest"), 0.4), Way(ordering("newest"), 0.1)], POOL)
    model, known = np.linspace(0.1, 0.8, ITEMS), Chances()
    by_draw, by_shuffle = chances(record(draw), PLACES), chances(record(shuffle), PLACES)

    taken = record(draw)
    shown = [POOL.postings.tolist().index(each) for each in taken.outcome.postings]
    rows = slate_rows(taken, logged, [target], model, PLACES, known)
    assert rows.logged == pytest.approx((0.7 * by_draw + 0.1 * by_shuffle)[shown, range(PLACES)])
    assert rows.targets[0].target == pytest.approx(0.5 * by_draw[shown, range(PLACES)])
    assert rows.targets[0].unsupported == pytest.approx(np.full(PLACES, 0.1))
    assert rows.targets[0].expected == pytest.approx(0.5 * model @ by_draw)

    nearest = record(ordering("nearest"))
    rows = slate_rows(nearest, logged, [target], model, PLACES, known)
    assert rows.logged.tolist() == [0.2] * PLACES
    assert rows.targets[0].target.tolist() == [0.4] * PLACES


def test_what_the_log_could_not_show_is_unsupported() -> None:
    logged = Side([Way(ordering("explore", pool_size=3), 1.0)], POOL)
    target = Side([Way(ordering("explore", pool_size=6), 1.0)], POOL)
    taken = record(ordering("explore", pool_size=3))
    rows = slate_rows(taken, logged, [target], np.ones(ITEMS), PLACES, Chances())
    assert rows.targets[0].unsupported == pytest.approx(np.full(PLACES, 0.5))


def test_what_is_shown_must_be_a_candidate() -> None:
    taken = record(ordering())
    side = Side([Way(ordering(), 1.0)], POOL.only(np.arange(4)))
    with pytest.raises(ValueError, match="not among its candidates"):
        slate_rows(taken, side, [side], np.ones(4), PLACES, Chances())


def test_other_priors_leave_what_was_counted() -> None:
    successes, failures = np.array([0.0, 3.0]), np.array([10.0, 40.0])
    before, after = Prior(0.1, 20.0), Prior(0.02, 100.0)
    pool = Pool(
        np.array([1, 2]),
        None,
        None,
        (2, 3),
        np.stack([2.0 + successes, successes + 1]),
        np.stack([18.0 + failures, failures + 9]),
    )
    found = under_priors(pool, {2: (before, after), 7: (before, after)})
    assert found.a[0] == pytest.approx(2.0 + successes)
    assert found.b[0] == pytest.approx(98.0 + failures)
    assert (found.a[1] == pool.a[1]).all()
    assert under_priors(pool, {7: (before, after)}) is pool
