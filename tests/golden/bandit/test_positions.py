"""Counting by who looked beside counting at face value, by few slates; all by `benchmarks.published`."""

from benchmarks.published.positions import CORRECTED, NAIVE, share_of_the_best

SLATES = 12_000


def test_counting_by_who_looked_wins_clicks_that_plain_counts_lose() -> None:
    """In two worlds 0.69 and 0.80 of the most clicks there can be, and 0.59 and 0.65 without the curve."""
    for seed, corrected in ((1, 0.65), (2, 0.75)):
        won = share_of_the_best(seed, CORRECTED, SLATES)
        assert won > corrected
        assert won > share_of_the_best(seed, NAIVE, SLATES) + 0.05
