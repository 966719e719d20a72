"""A decision is made again from its record alone, and what differs is named."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nearcast_bandit.arranging import Candidate, Diversity, Layout
from nearcast_bandit.record import DecisionRecord, FeedChoice, OrderName
from nearcast_bandit.redeciding import differences, redecide
from tests.unit.bandit.records import CHOICE, answered_else, make_record

ORDERS: tuple[OrderName, ...] = ("draw", "nearest", "newest", "most", "explore")


def found(record: DecisionRecord) -> list[str]:
    return [each.field for each in differences(record.outcome, redecide(record))]


@pytest.mark.parametrize("order", ORDERS)
def test_the_same_inputs_give_the_same_answer(order: OrderName) -> None:
    record = make_record(order=order)
    assert found(record) == []
    assert len(record.outcome.postings) == 10


def test_nearest_and_newest_go_by_what_the_record_says() -> None:
    record = make_record(order="nearest")
    assert record.pool is not None
    assert record.pool.distances_m is not None
    assert record.pool.born_at is not None
    nearest = record.pool.postings[np.argsort(record.pool.distances_m)][:10]
    assert list(record.outcome.postings) == nearest.tolist()
    newest = record.pool.postings[np.argsort(-record.pool.born_at)][:10]
    assert list(make_record(order="newest").outcome.postings) == newest.tolist()


def test_a_shuffle_shows_only_the_pool_of_the_best() -> None:
    record = make_record(order="explore")
    best = set(make_record(order="most", limit=20).outcome.postings)
    assert set(record.outcome.postings) <= best
    assert record.outcome.postings != make_record(order="most").outcome.postings


@pytest.mark.parametrize("order", ["draw", "explore"])
def test_scores_are_multiplied_by_the_factors_of_the_record(order: OrderName) -> None:
    record = make_record(order=order)
    assert record.pool is not None
    factors = np.where(record.pool.postings % 2 == 0, 1e3, 1.0)
    outcome = redecide(replace(record, pool=replace(record.pool, factors=factors)))
    assert {posting % 2 for posting in outcome.postings} == {0}
    assert found(replace(record, pool=replace(record.pool, factors=np.ones(factors.size)))) == []


def test_what_earlier_pages_showed_does_not_compete() -> None:
    first = make_record()
    second = make_record(excluded=first.outcome.postings)
    assert not set(first.outcome.postings) & set(second.outcome.postings)
    assert second.outcome.postings == make_record(limit=20).outcome.postings[10:]


def test_the_feed_follows_from_its_shares() -> None:
    assert make_record().outcome.feed == "draw"
    other = make_record(choice=msgspec.structs.replace(CHOICE, unit=0.7))
    assert other.outcome.feed == "nearest"
    assert other.outcome.propensity == pytest.approx(0.4 * 0.98)
    exploring = make_record(choice=msgspec.structs.replace(CHOICE, explore_unit=0.01))
    assert (exploring.outcome.feed, exploring.outcome.propensity) == ("explore", 0.02)


def test_what_is_frozen_has_the_default_feed_for_certain() -> None:
    frozen = msgspec.structs.replace(CHOICE, frozen=True, default_feed="nearest", explore_unit=0.0)
    outcome = make_record(order="most", choice=frozen).outcome
    assert (outcome.feed, outcome.propensity, outcome.explore) == ("nearest", 1.0, False)


def test_a_holdout_has_its_share_and_leaves_the_rest_to_the_others() -> None:
    spared = msgspec.structs.replace(CHOICE, holdout_share=0.1, holdout_salt="first")
    held = make_record(choice=msgspec.structs.replace(spared, held_out=True, default_feed="draw")).outcome
    assert (held.feed, held.propensity, held.explore) == ("holdout", 0.1, False)
    assert make_record(choice=spared).outcome.propensity == pytest.approx(0.6 * 0.98 * 0.9)
    exploring = make_record(choice=msgspec.structs.replace(spared, explore_unit=0.0)).outcome
    assert exploring.feed == "explore"
    assert exploring.propensity == pytest.approx(0.02 * 0.9)


def test_a_page_keeps_the_feed_it_was_given() -> None:
    record = make_record(choice=FeedChoice((), 0.0, 0.0, 0.0, resumed=True))
    assert found(answered_else(record, feed="anything", propensity=0.125)) == []


def test_differences_are_named_field_by_field() -> None:
    record = make_record()
    was = record.outcome
    assert found(answered_else(record, feed="nearest")) == ["feed"]
    assert found(answered_else(record, propensity=was.propensity + 1e-6)) == ["propensity"]
    assert found(answered_else(record, explore=True)) == ["explore"]
    assert found(answered_else(record, postings=was.postings[:9], scores=was.scores[:9])) == ["items"]
    stranger = (999_999, *was.postings[1:])
    assert found(answered_else(record, postings=stranger)) == ["posting at 1"]
    swapped = (was.postings[1], was.postings[0], *was.postings[2:])
    assert found(answered_else(record, postings=swapped)) == ["posting at 1", "posting at 2"]
    raised = (was.scores[0] + 1e-6, *was.scores[1:])
    assert found(answered_else(record, scores=raised)) == ["score at 1"]


def test_rounding_is_no_difference() -> None:
    record = make_record()
    scores = tuple(score + 5e-10 for score in record.outcome.scores)
    assert found(answered_else(record, scores=scores)) == []


def test_postings_with_the_same_score_may_change_places() -> None:
    record = make_record(order="nearest")
    assert record.pool is not None
    assert record.pool.distances_m is not None
    record.pool.distances_m[:] = 100.0
    tied = redecide(record)
    answered = answered_else(record, postings=tied.postings[::-1], scores=tied.scores)
    assert found(answered) == []


def test_a_record_without_what_its_order_goes_by_is_refused() -> None:
    for order in ("nearest", "newest"):
        record = make_record(order=order)
        assert record.pool is not None
        with pytest.raises(ValueError, match="by which its items were ordered"):
            redecide(replace(record, pool=replace(record.pool, distances_m=None, born_at=None)))


def test_sharpness_counts() -> None:
    plain, sharp = make_record(), make_record(sharpness=0.5)
    assert plain.outcome.scores != sharp.outcome.scores


@pytest.mark.parametrize("order", ORDERS)
def test_places_are_given_again_as_they_were(order: OrderName) -> None:
    layout = Layout(10, Diversity(1, 2, 3), ((4, Candidate(7 * 40, 7 * 40 % 3, 0)),), (Candidate(-1, 1, 1),))
    record = make_record(order=order, layout=layout)
    assert found(record) == []
    assert record.outcome.postings[4] == 280
    owners = [1] + [posting % 3 for posting in record.outcome.postings]
    for begin in range(9):
        window = owners[begin : begin + 3]
        assert all(window.count(owner) == 1 for owner in {*window} - {0})
    assert record.outcome.postings != make_record(order=order).outcome.postings


def test_a_pin_that_the_record_lacks_is_a_contradiction() -> None:
    record = make_record(layout=Layout(10, pins=((0, Candidate(280)),)))
    assert record.pool is not None
    lacking = replace(record, pool=record.pool.only(record.pool.postings != 280))
    with pytest.raises(ValueError, match="posting 280 is pinned"):
        redecide(lacking)
