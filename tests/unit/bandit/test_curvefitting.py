"""A curve fitted to uniform shuffles: the truth within a few standard errors, falling, or a reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.curvefitting import SMALLEST_SHARE, PlaceShare, Shuffled, falling_means, fit_curve

TRUE = (1.0, 0.62, 0.41, 0.3, 0.22, 0.15)


def simulated(seed: int, slates: int = 30_000, strata: int = 12) -> Shuffled:
    """Days with rates of their own, on which slates also have other lengths."""
    rng = np.random.default_rng(seed)
    lines = []
    for stratum in range(strata):
        rate, length = rng.uniform(0.02, 0.3), len(TRUE) if stratum % 2 else 4
        for place in range(1, length + 1):
            done = int(rng.binomial(slates // strata, rate * TRUE[place - 1]))
            lines.append((stratum, place, slates // strata, done))
    return Shuffled(*np.array(lines).T)


def shares(fitted: tuple[PlaceShare, ...]) -> list[float]:
    return [each.share for each in fitted]


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_that_people_followed_is_found(seed: int) -> None:
    """Within four standard errors: each share rests on 300 successes or more here, and so does the first."""
    fitted = fit_curve(simulated(seed), 50)
    assert [each.place for each in fitted] == [1, 2, 3, 4, 5, 6]
    for each, true in zip(fitted, TRUE, strict=True):
        error = true * np.sqrt(1 / max(each.successes, 1) + 1 / fitted[0].successes)
        assert abs(each.share - true) < 4 * error
    assert fitted[0].share == 1.0


def test_days_that_differ_in_rate_and_length_do_not_bend_the_curve() -> None:
    """Long slates come on poor days: rates of all days thrown together fall where nobody looks away."""
    lines = [(0, place, 1000, 400) for place in (1, 2)] + [(1, place, 1000, 40) for place in (1, 2, 3)]
    fitted = fit_curve(Shuffled(*np.array(lines).T), 20)
    assert shares(fitted) == pytest.approx([1.0, 1.0, 1.0])


def test_places_with_few_successes_are_read_together() -> None:
    lines = [(0, 1, 1000, 500), (0, 2, 1000, 30), (0, 3, 1000, 90), (0, 4, 1000, 110), (0, 5, 1000, 2)]
    fitted = fit_curve(Shuffled(*np.array(lines).T), 100)
    assert shares(fitted) == pytest.approx([1.0, 0.12, 0.12, 112 / 2000 / 0.5, 112 / 2000 / 0.5], rel=1e-9)
    assert [each.successes for each in fitted] == [500, 30, 90, 110, 2]


def test_no_place_counts_for_next_to_nothing() -> None:
    lines = [(0, 1, 10_000, 9000), (0, 2, 1_000_000, 50)]
    assert shares(fit_curve(Shuffled(*np.array(lines).T), 50)) == [1.0, SMALLEST_SHARE]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([(0, 2, 100, 100)], "position 1 has 0 successes of the 20 that are needed"),
        ([(0, 1, 100, 19), (0, 2, 100, 50)], "position 1 has 19 successes of the 20"),
        ([(0, 1, 100, 50), (0, 2, 100, 10), (0, 3, 100, 9)], "below the first have 19 successes of the 20"),
        ([(0, 1, 100, 50), (1, 2, 100, 50)], "on a day and in a market where that one was"),
    ],
)
def test_too_little_gives_no_curve_but_a_reason(lines: list[tuple[int, ...]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        fit_curve(Shuffled(*np.array(lines).T), 20)


def test_nothing_at_all_gives_a_reason_too() -> None:
    nothing = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="position 1 has 0"):
        fit_curve(Shuffled(nothing, nothing, nothing, nothing), 20)


@given(st.lists(st.tuples(st.floats(0.001, 5), st.floats(0.1, 100)), min_size=1, max_size=12))
def test_pooled_means_never_rise_and_keep_the_weighted_sum(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    falling = falling_means(values, weights)
    assert (np.diff(falling) <= 1e-12).all()
    assert falling @ weights == pytest.approx(values @ weights, rel=1e-9)
    assert falling_means(falling, weights) == pytest.approx(falling, rel=1e-12)
