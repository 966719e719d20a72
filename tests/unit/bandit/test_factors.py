"""What a score is multiplied with is made of rules that can be told one by one."""

import pytest

from nearcast_bandit.factors import MOST_HALVINGS, Boost, Factors, Part, Subject

CAFE = Subject(7, "food", frozenset({"coffee", "late"}), "anna", 1500.0)
BOOSTS = (
    Boost("category", "food", 3.0),
    Boost("category", "jobs", 5.0),
    Boost("tag", "late", 0.5),
    Boost("tag", "early", 9.0),
    Boost("owner", "anna", 1.2),
    Boost("owner", "bert", 7.0),
)


def test_every_rule_that_applies_is_told_and_the_factor_is_their_product() -> None:
    factors = Factors(BOOSTS, 500.0, 0.25, frozenset({7}))
    assert factors.parts(CAFE) == [
        Part("category", "food", 3.0),
        Part("tag", "late", 0.5),
        Part("owner", "anna", 1.2),
        Part("distance", "", 0.125),
        Part("seen", "", 0.25),
    ]
    assert factors.of(CAFE) == pytest.approx(3.0 * 0.5 * 1.2 * 0.125 * 0.25)


def test_nothing_multiplies_by_one() -> None:
    assert Factors().parts(CAFE) == []
    assert Factors().of(CAFE) == 1.0
    assert Factors(faded=frozenset({8}), seen_share=0.5).of(CAFE) == 1.0


@pytest.mark.parametrize(("distance_m", "factor"), [(0.0, 1.0), (500.0, 0.5), (1000.0, 0.25)])
def test_a_score_counts_half_at_the_distance_that_is_set(distance_m: float, factor: float) -> None:
    there = Subject(1, "", frozenset(), "", distance_m)
    assert Factors(distance_half_m=500.0).of(there) == pytest.approx(factor)


def test_a_factor_stays_above_zero_however_far_an_item_is() -> None:
    antipode = Subject(1, "", frozenset(), "", 2e7)
    assert Factors(distance_half_m=1.0).of(antipode) == 2.0**-MOST_HALVINGS
