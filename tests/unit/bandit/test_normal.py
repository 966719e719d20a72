import math

import numpy as np
import pytest
from scipy import stats

from nearcast_bandit import normal
from nearcast_bandit.arrays import Floats
from nearcast_bandit.normal import EDGES, HEIGHTS, LAYERS, TAIL_START, standard_normals
from nearcast_bandit.stream import stream_keys

DRAWS = 4_000_000


@pytest.fixture(scope="module")
def normals() -> Floats:
    parts = np.arange(DRAWS, dtype=np.int64).reshape(8, -1)
    return np.concatenate([standard_normals(stream_keys(2024, part, 1))[0] for part in parts])


def test_the_layers_have_equal_areas_and_close_at_the_top() -> None:
    areas = EDGES[1:-1] * np.diff(HEIGHTS[1:])
    tail = math.sqrt(math.pi / 2) * math.erfc(TAIL_START / math.sqrt(2))
    assert areas.size == LAYERS - 1
    np.testing.assert_allclose(areas, TAIL_START * HEIGHTS[1] + tail, rtol=1e-9)


def test_a_million_normals_are_normal(normals: Floats) -> None:
    sample = normals[:1_000_000]
    assert stats.kstest(sample, "norm").statistic <= 2.69 / math.sqrt(sample.size)


@pytest.mark.parametrize("threshold", [TAIL_START, 4.0, 4.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_mass_of_the_far_tails_is_right(normals: Floats, threshold: float, sign: int) -> None:
    expected = DRAWS * stats.norm.sf(threshold)
    # Five standard deviations of a Poisson count.
    assert abs((sign * normals > threshold).sum() - expected) < 5 * math.sqrt(expected)


def test_the_shape_of_the_tail_is_right() -> None:
    # Enough of them that an exponential in place of the normal tail is far beyond the limit.
    tail, _ = normal._tail(stream_keys(2025, np.arange(500_000, dtype=np.int64), 1))
    uniform = stats.norm.sf(tail) / stats.norm.sf(TAIL_START)
    assert stats.kstest(uniform, "uniform").statistic <= 2.69 / math.sqrt(tail.size)


def test_the_wedges_are_right(normals: Floats) -> None:
    # Cells as narrow as the layers would show a layer whose wedge is cut off or overfull.
    edges = np.concatenate((EDGES[1:][::-1], [np.inf]))
    expected = DRAWS * 2 * -np.diff(stats.norm.sf(edges))
    counts = np.histogram(np.abs(normals), edges)[0]
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert stats.chi2(LAYERS - 1).sf(statistic) > 1e-6


def test_a_normal_depends_on_its_own_cursor_alone() -> None:
    cursors = stream_keys(3, np.arange(5001, dtype=np.int64), 1)
    together, ends = standard_normals(cursors)
    assert (ends != cursors).any()
    backwards, backwards_ends = standard_normals(cursors[::-1].copy())
    np.testing.assert_array_equal(backwards[::-1], together)
    np.testing.assert_array_equal(backwards_ends[::-1], ends)
    for index in (0, 17, int(np.flatnonzero(ends != cursors)[0])):
        alone, end = standard_normals(cursors[index : index + 1])
        assert (alone[0], end[0]) == (together[index], ends[index])
