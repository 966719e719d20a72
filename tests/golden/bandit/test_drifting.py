"""Forgetting pays where rates drift, by few runs; 200 of 10,000 steps by `benchmarks.published`."""

from benchmarks.published.drifting import GREATEST_RATIO, regret_per_step


def test_a_half_life_of_a_hundred_steps_loses_less_than_two_fifths_of_never_forgetting() -> None:
    never, hundred = regret_per_step(runs=40, steps=5_000)
    assert 0.09 < never < 0.16
    assert hundred <= GREATEST_RATIO * never
