"""From posteriors to an order: weighted draws, the best k, and the even shuffle of the exploration floor."""

from collections.abc import Sequence

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_from_keys
from nearcast_bandit.posterior import posterior_mean, sharpen
from nearcast_bandit.stream import stream_keys, words

# No registered kind of event is negative, so a shuffle never shares words with a draw.
SHUFFLE_KIND = -1


def weighted_scores(
    seed: int,
    postings: Integers,
    kinds: Sequence[int],
    weights: Sequence[float],
    a: Floats,
    b: Floats,
    exploration: float = 1.0,
) -> Floats:
    """The weighted sum of one Thompson draw per kind; A and B have a row per kind and a column per posting.

    Every kind has draws of its own: a single draw of a matched sum would be wrong in the tail.
    """
    _check(postings, kinds, weights, a, b)
    if not kinds:
        return np.zeros(postings.size)
    a, b = sharpen(a, b, exploration)
    keys = np.concatenate([stream_keys(seed, postings, kind) for kind in kinds])
    draws = draw_from_keys(keys, a.reshape(-1), b.reshape(-1))
    return weighted_sum(draws.reshape(len(kinds), -1), weights)


def mean_scores(weights: Sequence[float], a: Floats, b: Floats) -> Floats:
    """The weighted sum of posterior means: the order without any exploration."""
    return weighted_sum(posterior_mean(a, b), weights)


def weighted_sum(rates: Floats, weights: Sequence[float]) -> Floats:
    """The rows of `rates` added up with these weights, always in the order given."""
    total: Floats = rates[0] * weights[0]
    for rate, weight in zip(rates[1:], weights[1:], strict=True):
        total += rate * weight
    return total


def top_k(scores: Floats, postings: Integers, k: int) -> Integers:
    """Indices of the k best, best first; equal scores go by posting, so array order never decides."""
    if not np.isfinite(scores).all():
        raise ValueError(f"score of posting {postings[~np.isfinite(scores)][0]} is not finite")
    if k <= 0:
        return np.empty(0, dtype=np.int64)
    if k >= scores.size:
        return np.lexsort((postings, -scores))
    threshold = np.partition(scores, scores.size - k)[scores.size - k]
    among = np.flatnonzero(scores >= threshold)
    return among[np.lexsort((postings[among], -scores[among]))[:k]]


def shuffle_order(seed: int, postings: Integers) -> Integers:
    """Indices in an evenly random order; leaving a posting out leaves the order of the others."""
    return np.lexsort((postings, words(stream_keys(seed, postings, SHUFFLE_KIND), 0)))


def _check(postings: Integers, kinds: Sequence[int], weights: Sequence[float], a: Floats, b: Floats) -> None:
    shape = (len(kinds), postings.size)
    if len(weights) != len(kinds) or a.shape != shape or b.shape != shape:
        raise ValueError(
            f"{shape[0]} kinds of {shape[1]} postings need {shape[0]} weights and A and B of shape {shape},"
            f" not {len(weights)} weights, {a.shape} and {b.shape}"
        )
    if not np.isfinite(weights).all():
        raise ValueError(f"weights are {list(weights)}; each must be finite")
