"""The position curve that uniform shuffles show: how much less a place is looked at than the first.

Where a slate is a uniform shuffle, every place holds the same mixture of items, so rates differ from place to
place only by how many people look. Slates of other days and markets have other rates and other lengths:
places are compared with the first one within each stratum, and the strata pooled by Mantel and Haenszel,

    share(p) = sum S_p N_1 / (N_1 + N_p)  /  sum S_1 N_p / (N_1 + N_p)

which needs no estimate of any stratum's own rate. Places with too few successes are read together with their
neighbours; shares that would rise from one place to the next are pooled (isotonic regression).
"""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers

SMALLEST_SHARE = 0.01
"""No place counts for less, so that one success there cannot outweigh a hundred elsewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Shuffled:
    """What shuffled slates showed, as columns of one length: places from 1 up, and where lines belong."""

    stratum: Integers
    place: Integers
    impressions: Integers
    successes: Integers


@dataclass(frozen=True, slots=True)
class PlaceShare:
    """One place: what was seen of it, and the share of people who look at it beside the first."""

    place: int
    impressions: int
    successes: int
    share: float


def fit_curve(shuffled: Shuffled, least: int) -> tuple[PlaceShare, ...]:
    """The share of each place that was seen, falling from 1 at the first; ValueError says what lacks.

    Every share rests on at least so many successes, at the first place and at its own.
    """
    places, rows = np.unique(shuffled.place, return_inverse=True)
    strata, columns = np.unique(shuffled.stratum, return_inverse=True)
    shown, done = np.zeros((2, places.size, strata.size))
    np.add.at(shown, (rows, columns), shuffled.impressions)
    np.add.at(done, (rows, columns), shuffled.successes)
    blocks = _blocks(places, done.sum(axis=1), least)
    ratios = [
        _ratio(shown[block].sum(axis=0), done[block].sum(axis=0), shown[0], done[0]) for block in blocks
    ]
    weights = [float(done[block].sum()) for block in blocks]
    falling = falling_means(np.array([1.0, *ratios[1:]]), np.array(weights))
    shares = np.maximum(falling / falling[0], SMALLEST_SHARE)
    return tuple(
        PlaceShare(int(places[row]), int(shown[row].sum()), int(done[row].sum()), float(share))
        for block, share in zip(blocks, shares, strict=True)
        for row in range(block.start, block.stop)
    )


def falling_means(values: Floats, weights: Floats) -> Floats:
    """The closest sequence that never rises, by weighted squares: what rises is pooled upwards."""
    means, sizes, counts = list[float](), list[float](), list[int]()
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        means.append(value)
        sizes.append(weight)
        counts.append(1)
        while len(means) > 1 and means[-1] > means[-2]:
            mean, size, count = means.pop(), sizes.pop(), counts.pop()
            means[-1] = (means[-1] * sizes[-1] + mean * size) / (sizes[-1] + size)
            sizes[-1] += size
            counts[-1] += count
    return np.repeat(means, counts)


def _blocks(places: Integers, successes: Floats, least: int) -> list[slice]:
    """The first place, and runs of those after it with enough successes each."""
    first = float(successes[0]) if places.size and places[0] == 1 else 0.0
    if first < least:
        raise ValueError(f"position 1 has {first:.0f} successes of the {least} that are needed")
    blocks, start, found = [slice(0, 1)], 1, 0.0
    for row in range(1, places.size):
        found += float(successes[row])
        if found >= least:
            blocks.append(slice(start, row + 1))
            start, found = row + 1, 0.0
    if len(blocks) == 1:
        raise ValueError(
            f"the positions below the first have {found:.0f} successes of the {least} that are needed"
        )
    blocks[-1] = slice(blocks[-1].start, places.size)
    return blocks


def _ratio(shown: Floats, done: Floats, first_shown: Floats, first_done: Floats) -> float:
    both = first_shown + shown
    of_both = np.divide(1.0, both, out=np.zeros_like(both), where=both > 0)
    compared = float((first_done * shown * of_both).sum())
    if not compared:
        raise ValueError("no position below the first was shown on a day and in a market where that one was")
    return float((done * first_shown * of_both).sum()) / compared
