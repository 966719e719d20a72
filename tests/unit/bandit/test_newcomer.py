import pytest
from scipy import integrate, stats

from nearcast_bandit.newcomer import Incumbent, chance_to_beat, normal_guess, prior_for_chance
from nearcast_bandit.posterior import Prior


def incumbent(mean: float, trials: float) -> Incumbent:
    return Incumbent(mean, mean * (1 - mean) / (trials + 1))


def integrated(prior: Prior, place: Incumbent) -> float:
    new = stats.beta(prior.strength * prior.mean, prior.strength * (1 - prior.mean))
    old = stats.beta(place.trials * place.mean, place.trials * (1 - place.mean))
    low, high = old.ppf([1e-12, 1 - 1e-12])
    return integrate.quad(lambda x: old.pdf(x) * new.sf(x), low, high, epsabs=1e-11, limit=200)[0]


def test_the_chance_is_that_of_the_integral() -> None:
    for mean, trials, prior in ((0.02, 5000, Prior(0.008, 100)), (0.3, 40, Prior(0.1, 3))):
        place = incumbent(mean, trials)
        assert chance_to_beat(prior, place) == pytest.approx(integrated(prior, place), abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "trials", "strength", "chance", "normal"),
    [(0.05, 2000, 20, 0.05, 0.061), (0.02, 5000, 100, 0.10, 0.100), (0.02, 5000, 100, 0.02, 0.047)],
)
def test_the_normal_guess_errs_in_the_tail_and_the_search_mends_it(
    mean: float, trials: float, strength: float, chance: float, normal: float
) -> None:
    place = incumbent(mean, trials)
    guess = Prior(normal_guess(chance, strength, place), strength)
    assert chance_to_beat(guess, place) == pytest.approx(normal, abs=0.0006)
    found = prior_for_chance(chance, strength, place)
    assert found.strength == strength
    assert integrated(found, place) == pytest.approx(chance, abs=2e-6)


def test_an_even_prior_beats_a_rare_success_nearly_always() -> None:
    assert chance_to_beat(Prior(0.5, 2), incumbent(0.02, 5000)) == pytest.approx(0.98, abs=0.001)


@pytest.mark.parametrize("chance", [0.001, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    ("mean", "trials", "strength"), [(0.3, 20, 5), (0.02, 1e6, 20_000), (0.001, 300, 50)]
)
def test_the_ends_of_the_range_are_reached(
    mean: float, trials: float, strength: float, chance: float
) -> None:
    place = incumbent(mean, trials)
    assert chance_to_beat(prior_for_chance(chance, strength, place), place) == pytest.approx(chance, rel=1e-4)


@pytest.mark.parametrize("chance", [0.0, 0.0009, 1.0, -1.0, float("nan")])
def test_a_chance_out_of_range_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0\.001, 0\.999\]"):
        prior_for_chance(chance, 100, incumbent(0.02, 100))


def test_where_no_mean_has_the_chance_the_nearest_is_given() -> None:
    # This incumbent is below any rate that counts nearly always.
    prior = prior_for_chance(0.001, 12_000, incumbent(0.002, 1))
    assert prior.mean == pytest.approx(1e-9)
    assert chance_to_beat(prior, incumbent(0.002, 1)) > 0.001


@pytest.mark.parametrize("strength", [0.0, -5.0, float("inf")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="prior strength"):
        prior_for_chance(0.1, strength, incumbent(0.02, 100))


@pytest.mark.parametrize(
    ("mean", "variance"), [(0.0, 0.1), (1.0, 0.1), (0.02, 0.0), (0.02, 0.0196), (0.02, float("nan"))]
)
def test_an_impossible_incumbent_is_refused(mean: float, variance: float) -> None:
    with pytest.raises(ValueError, match="of the incumbent"):
        Incumbent(mean, variance)
