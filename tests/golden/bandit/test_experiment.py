"""When an experiment ends, beside the published: Scott 2013, by few; 500 by `benchmarks.published`."""

from benchmarks.published.experiment import PUBLISHED_DAYS, PUBLISHED_SAVED, experiments

EXPERIMENTS = 12


def test_the_bandit_ends_an_experiment_as_early_and_as_cheaply_as_published() -> None:
    found = experiments(EXPERIMENTS, draws=2048)
    # One experiment's end scatters by about 42 days: the mean of twelve by 12.
    assert abs(found.days - PUBLISHED_DAYS) < 2.5 * 12
    assert abs(found.saved - PUBLISHED_SAVED) < 8
    assert found.right >= 0.8
