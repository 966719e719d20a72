"""The documented algorithm in plain Python, one posting at a time: what every faster form must equal."""

import math

import numpy as np
import pytest

from nearcast_bandit.draw import draw_betas
from nearcast_bandit.normal import EDGES, HEIGHTS, TAIL_START, standard_normals
from nearcast_bandit.stream import stream_keys

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
BLOCK = 4 * GOLDEN
GOLDEN_DRAWS = [0.0020584257419456824, 0.05847843225035935, 0.008348861247294828, 0.04334833049709948]


def mix(word: int) -> int:
    word &= MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def word(cursor: int, index: int) -> int:
    return mix(cursor + (index + 1) * GOLDEN)


def uniform(cursor: int, index: int) -> float:
    return ((word(cursor, index) >> 11) | 1) * 2.0**-53


def key_of(seed: int, posting: int, kind: int) -> int:
    root = mix(mix(seed) + (kind + 1) * 0xD1B54A32D192ED03)
    return mix(root + posting * GOLDEN)


def tail(cursor: int) -> tuple[float, int]:
    while True:
        excess = -math.log(uniform(cursor, 1)) / TAIL_START
        if -2 * math.log(uniform(cursor, 2)) > excess * excess:
            return TAIL_START + excess, cursor
        cursor += BLOCK


def normal(cursor: int) -> tuple[float, int]:
    while True:
        drawn = word(cursor, 0)
        layer, sign = drawn & 255, -1.0 if drawn & 256 else 1.0
        u = uniform(cursor, 0)
        x = u * EDGES[layer]
        if u < EDGES[layer + 1] / EDGES[layer]:
            return sign * x, cursor
        if layer == 0:
            x, cursor = tail(cursor)
            return sign * x, cursor
        height = HEIGHTS[layer] + uniform(cursor, 1) * (HEIGHTS[layer + 1] - HEIGHTS[layer])
        if height < math.exp(-0.5 * x * x):
            return sign * x, cursor
        cursor += BLOCK


def gamma(cursor: int, shape: float) -> float:
    depth = shape - 1 / 3
    slope = 1 / (3 * math.sqrt(depth))
    while True:
        x, cursor = normal(cursor)
        u, y = uniform(cursor, 3), slope * x
        if u < 1 - 0.0331 * x**4:
            return depth * (1 + y) ** 3
        if y > -1 and math.log(u) < 0.5 * x * x + depth * (3 * math.log1p(y) - y * (3 + y * (3 + y))):
            return depth * (1 + y) ** 3
        cursor += BLOCK


def beta(seed: int, posting: int, kind: int, a: float, b: float) -> float:
    key = key_of(seed, posting, kind)
    gammas, boosts = [], []
    for cursor, shape in ((key, a), (key + 2**32 * GOLDEN, b)):
        boosts.append(math.log(uniform(cursor, 0)) / shape if shape < 1 else 0.0)
        gammas.append(gamma(cursor + BLOCK, shape + 1 if shape < 1 else shape))
    top = max(boosts)
    first, second = (g * math.exp(boost - top) for g, boost in zip(gammas, boosts, strict=True))
    return first / (first + second)


@pytest.mark.parametrize(
    ("low", "high"), [(0.05, 1), (0.5, 30), (1, 5), (100, 1e7)], ids=["below one", "mixed", "small", "large"]
)
def test_vectorised_draws_equal_the_scalar_algorithm(low: float, high: float) -> None:
    rng = np.random.default_rng(11)
    count = 20_000
    postings = rng.integers(-(2**63), 2**63 - 1, count)
    a, b = np.exp(rng.uniform(np.log(low), np.log(high), (2, count)))
    for seed, kind in ((0, 0), (2**64 - 1, 32767)):
        drawn = draw_betas(seed, postings, kind, a, b)
        expected = [
            beta(seed, *row)
            for row in zip(postings.tolist(), [kind] * count, a.tolist(), b.tolist(), strict=True)
        ]
        np.testing.assert_allclose(drawn, expected, rtol=1e-12, atol=0)


def test_vectorised_normals_equal_the_scalar_algorithm_in_their_rare_branches() -> None:
    cursors = stream_keys(12, np.arange(2_000_000, dtype=np.int64), 1)
    normals, ends = standard_normals(cursors)
    rare = np.flatnonzero((np.abs(normals) > TAIL_START) | (ends - cursors > BLOCK & MASK))
    assert (np.abs(normals[rare]) > TAIL_START).sum() > 400
    expected = [normal(cursor) for cursor in cursors[rare].tolist()]
    np.testing.assert_allclose(normals[rare], [x for x, _ in expected], rtol=1e-14)
    assert ends[rare].tolist() == [cursor & MASK for _, cursor in expected]


def test_draws_never_change() -> None:
    a, b = np.array([0.3, 2.0, 2.0, 50.0]), np.array([20.0, 0.5, 100.0, 1000.0])
    drawn = draw_betas(42, np.array([1, 2, 3, 2**40]), 3, a, b)
    np.testing.assert_allclose(drawn, GOLDEN_DRAWS, rtol=1e-12)
