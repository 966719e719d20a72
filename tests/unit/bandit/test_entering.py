"""How newcomers fare among items that are known, against draws and closed forms."""

import numpy as np
import pytest

from nearcast_bandit import entering
from nearcast_bandit.entering import Crowd, Entry, entry_of


def crowd_of(
    known: list[tuple[float, float]], strangers: list[tuple[float, float, int]], entering: tuple[float, float]
) -> Crowd:
    shapes = np.array([*known, *((a, b) for a, b, _ in strangers), entering]).T
    counts = np.array([count for _, _, count in strangers], np.int64)
    return Crowd([1.0], shapes[:1], shapes[1:], counts)


def test_among_its_equals_each_has_an_even_chance() -> None:
    """Ten strangers and one more: three of eleven places, and the middle rank."""
    found = entry_of(crowd_of([], [(2.0, 18.0, 10)], (2.0, 18.0)), 3, 50, 0.0)
    assert found.chance == pytest.approx(3 / 11, abs=1e-6)
    assert found.expected_rank == pytest.approx(6.0, abs=1e-6)
    assert found.stranger_share == pytest.approx(1.0, abs=1e-6)


def test_with_a_place_for_all_everybody_has_one() -> None:
    found = entry_of(crowd_of([(50.0, 950.0)], [(2.0, 18.0, 1)], (2.0, 18.0)), 5, 50, 0.02)
    assert found.chance == pytest.approx(1.0, abs=1e-6)
    assert found.stranger_share == pytest.approx(0.5, abs=1e-6)


def drawn(crowd: Crowd, places: int, draws: int) -> Entry:
    """The same by drawing."""
    rng = np.random.default_rng(11)
    times = np.concatenate((np.ones(crowd.known, np.int64), crowd.strangers, [1]))
    columns = np.repeat(np.arange(times.size), times)
    scores = np.zeros((draws, columns.size))
    for weight, a, b in zip(crowd.weights, crowd.a, crowd.b, strict=True):
        scores += weight * rng.beta(a[columns], b[columns], (draws, columns.size))
    ranks = (scores > scores[:, -1:]).sum(axis=1) + 1
    shown = columns[np.argsort(-scores[:, :-1], axis=1)[:, :places]]
    share = ((shown >= crowd.known) & (shown < times.size - 1)).mean()
    return Entry(float((ranks <= places).mean()), float(ranks.mean()), float(share))


@pytest.mark.parametrize("kinds", [1, 2])
def test_chance_rank_and_share_are_those_of_draws(kinds: int) -> None:
    """30,000 slates of 30 known items and 14 strangers of two priors: within 4 standard errors."""
    rng = np.random.default_rng(3)
    trials = rng.uniform(50, 3000, (kinds, 30))
    rates = rng.uniform(0.02, 0.09, (kinds, 30))
    a = np.concatenate((trials * rates, np.full((kinds, 1), 2.0), np.full((kinds, 1), 1.0)), axis=1)
    b = np.concatenate((trials * (1 - rates), np.full((kinds, 1), 30.0), np.full((kinds, 1), 40.0)), axis=1)
    a, b = np.c_[a, np.full(kinds, 1.5)], np.c_[b, np.full(kinds, 25.0)]
    crowd = Crowd([1.0, 3.0][:kinds], a, b, np.array([9, 5]))
    exact, by_draws = entry_of(crowd, 8, 50, 0.0), drawn(crowd, 8, 30_000)
    assert exact.chance == pytest.approx(by_draws.chance, abs=4 * 0.5 / 30_000**0.5)
    assert exact.expected_rank == pytest.approx(by_draws.expected_rank, abs=4 * 14 / 30_000**0.5)
    assert exact.stranger_share == pytest.approx(by_draws.stranger_share, abs=4 * 0.5 / 30_000**0.5)


def test_exploring_shows_whoever_is_in_the_pool_evenly() -> None:
    crowd = crowd_of([(50.0, 950.0)] * 8, [(1.0, 9.0, 2)], (1.0, 9.0))
    inside = entry_of(crowd, 4, 10, 1.0)
    assert (inside.chance, inside.expected_rank, inside.stranger_share) == pytest.approx((0.4, 5.5, 0.2))
    outside = entry_of(crowd, 2, 2, 1.0)
    assert (outside.chance, outside.expected_rank, outside.stranger_share) == pytest.approx((0.0, 3.0, 1.0))


def test_a_hopeful_prior_enters_more_often() -> None:
    known = [(50.0, 950.0)] * 40
    chances = [
        entry_of(crowd_of(known, [], (20 * mean, 20 * (1 - mean))), 10, 50, 0.0).chance
        for mean in (0.02, 0.04, 0.08)
    ]
    assert chances == sorted(chances)
    assert chances[-1] - chances[0] > 0.2


def test_known_items_of_millions_of_trials_are_no_harder() -> None:
    found = entry_of(crowd_of([(5e6, 9.5e7)] * 20, [(1.0, 19.0, 5)], (1.0, 19.0)), 5, 50, 0.0)
    above = 1 - (1 - 0.05) ** 19  # Beta(1, 19) is below 0.05 with this chance
    assert found.chance == pytest.approx(1 - above, abs=0.06)


def test_sums_of_many_trials_are_as_good_as_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 items of 6,000 to 9,000 trials, of three kinds as rare as 1 %: both ways to a hundredth."""
    rng = np.random.default_rng(5)
    trials = rng.uniform(6000, 9000, (3, 60))
    rates = np.array([0.1, 0.02, 0.01])[:, None] * rng.uniform(0.7, 1.4, (3, 60))
    priors = np.array([[2.0, 18.0], [1.0, 49.0], [1.0, 99.0]])
    a = np.concatenate((trials * rates, priors[:, :1], priors[:, :1]), axis=1)
    b = np.concatenate((trials * (1 - rates), priors[:, 1:], priors[:, 1:]), axis=1)
    crowd = Crowd([1.0, 2.0, 5.0], a, b, np.array([10]))
    quick = entry_of(crowd, 10, 50, 0.0)
    monkeypatch.setattr(entering, "NORMAL_FROM_TRIALS", 1e9)
    exact = entry_of(crowd, 10, 50, 0.0)
    assert quick.chance == pytest.approx(exact.chance, rel=0.01)
    assert quick.expected_rank == pytest.approx(exact.expected_rank, rel=0.01)
    assert quick.stranger_share == pytest.approx(exact.stranger_share, rel=0.01)
