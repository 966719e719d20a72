import numpy as np
import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import EVERYTHING, Evidence, Level, LevelPrior, fit_priors
from nearcast_bandit.posterior import Prior

CONFIGURED = Prior(0.01, 100)


def evidence(*groups: tuple[int, int, float, int]) -> Evidence:
    """Groups of (market, category, mean rate, number of postings), each posting seen 400 times."""
    rng = np.random.default_rng(7)
    columns: list[tuple[int, int, float, float]] = []
    for market, category, mean, count in groups:
        rates = rng.beta(200 * mean, 200 * (1 - mean), count)
        columns += [(market, category, 400.0, float(n)) for n in rng.binomial(400, rates)]
    lines = np.array(columns).reshape(-1, 4)
    places = lines[:, :2].astype(np.int64)
    everyone = np.ones(len(columns), dtype=bool)
    return Evidence(places[:, 0], places[:, 1], lines[:, 2], lines[:, 3], everyone)


def test_without_evidence_everything_has_what_is_configured() -> None:
    prior = fit_priors(evidence(), CONFIGURED).of(3, 4)
    assert prior == LevelPrior(CONFIGURED, Level.CONFIGURED, FitKind.TOO_LITTLE, 0, 0.0, 0.0, 0.0)


def test_much_evidence_has_the_mean_it_shows() -> None:
    table = fit_priors(evidence((1, 1, 0.02, 300), (1, 2, 0.08, 300), (2, 1, 0.04, 300)), CONFIGURED)
    for place, mean in (((1, 1), 0.02), ((1, 2), 0.08), ((2, 1), 0.04)):
        found = table.of(*place)
        assert (found.level, found.kind, found.children) == (Level.CATEGORY, FitKind.FITTED, 300)
        assert found.prior.mean == pytest.approx(mean, rel=0.1)
        assert found.own_share > 0.9


def test_little_evidence_stays_near_the_mean_of_the_market_and_not_of_everything() -> None:
    table = fit_priors(evidence((1, 1, 0.02, 400), (2, 1, 0.10, 400), (2, 2, 0.03, 1)), CONFIGURED)
    few, market = table.of(2, 2), table.of(2, 99)
    assert market.level is Level.MARKET
    assert market.prior.mean == pytest.approx(0.1, rel=0.1)
    assert 0.05 < few.prior.mean < market.prior.mean
    assert 0 < few.own_share < 0.7


def test_more_postings_of_the_same_rate_pull_a_category_to_it() -> None:
    apart = []
    for count in (1, 5, 25, 125):
        table = fit_priors(evidence((1, 1, 0.05, 400), (1, 2, 0.15, count)), CONFIGURED)
        apart.append((abs(table.of(1, 2).prior.mean - 0.15), table.of(1, 2).own_share))
    assert [share for _, share in apart] == sorted(share for _, share in apart)
    assert apart[-1][0] < 0.02 < apart[0][0]


def test_unknown_places_fall_back_level_by_level() -> None:
    table = fit_priors(evidence((1, 1, 0.05, 50)), CONFIGURED)
    assert table.of(1, 1).level is Level.CATEGORY
    assert table.of(1, 2).level is Level.MARKET
    assert table.of(2, 1).level is Level.ALL
    assert table.of(2, 1) == table.levels[EVERYTHING]


def test_what_is_young_or_capped_is_not_learned_from() -> None:
    whole = evidence((1, 1, 0.05, 60), (1, 2, 0.001, 60))
    masked = Evidence(whole.market, whole.category, whole.exposures, whole.successes, whole.category == 1)
    table = fit_priors(masked, CONFIGURED)
    assert table.of(1, 2).level is Level.MARKET
    assert table == fit_priors(evidence((1, 1, 0.05, 60)), CONFIGURED)


def test_the_order_of_lines_does_not_matter() -> None:
    lines = evidence((1, 1, 0.02, 30), (1, 2, 0.08, 40), (2, 1, 0.04, 20))
    order = np.random.default_rng(8).permutation(90)
    shuffled = Evidence(
        lines.market[order],
        lines.category[order],
        lines.exposures[order],
        lines.successes[order],
        lines.is_learned_from[order],
    )
    one, other = fit_priors(lines, CONFIGURED).levels, fit_priors(shuffled, CONFIGURED).levels
    assert list(one) == list(other)
    for place, level in one.items():
        assert level.prior.mean == pytest.approx(other[place].prior.mean, rel=1e-6)
        assert level.prior.strength == pytest.approx(other[place].prior.strength, rel=1e-5)


def test_a_table_cannot_be_changed() -> None:
    table = fit_priors(evidence(), CONFIGURED)
    with pytest.raises(TypeError):
        table.levels[1, 1] = table.of(1, 1)  # type: ignore[index]


def test_columns_of_different_length_are_refused() -> None:
    ones = np.ones(2, dtype=np.int64)
    with pytest.raises(ValueError, match="one length"):
        Evidence(ones, ones, np.ones(2), np.ones(3), np.ones(2, dtype=bool))


def test_new_items_are_predicted_better_than_by_either_level_alone() -> None:
    # Few postings for each of many categories: the case for which shrinking is made.
    rng = np.random.default_rng(9)
    categories = 250
    means = rng.beta(3, 97, categories)
    sizes = rng.integers(1, 6, categories)
    category = np.repeat(np.arange(categories), sizes)
    rates = rng.beta(100 * means[category], 100 * (1 - means[category]))
    exposures = np.full(category.size, 150.0)
    successes = rng.binomial(150, rates).astype(float)
    market, everyone = np.zeros(category.size, dtype=np.int64), np.ones(category.size, dtype=bool)
    table = fit_priors(Evidence(market, category, exposures, successes, everyone), CONFIGURED)
    shrunk = np.array([table.of(0, number).prior.mean for number in range(categories)])
    own = np.bincount(category, successes) / np.bincount(category, exposures)
    pooled = np.full(categories, successes.sum() / exposures.sum())
    errors = [float(((guess - means) ** 2).mean()) for guess in (shrunk, own, pooled)]
    assert errors[0] < 0.9 * errors[1]
    assert errors[0] < 0.9 * errors[2]
