"""The draw as machine code is the draw of the arrays, and a Beta."""

import math

import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR, draw_betas
from nearcast_bandit.lanes import LANES, Lane, draw_block
from nearcast_bandit.native import sharpened, stream_root, surely_kept
from nearcast_bandit.posterior import sharpen
from nearcast_compiling.memory import address_of, load_i8, store_i8
from nearcast_compiling.native import WHY_NOT, compiled_entry

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there is machine code")

SHAPES = ((1, 1), (0.5, 20), (1, 50), (2, 100), (5, 300), (30, 1500), (300, 9000), (0.05, 0.5), (42, 498))


@compiled_entry
def _draw_all(seed: int, kind: int, count: int, columns: int, drawn: int, lanes: int) -> None:
    """Postings, A and B lie behind each other in the columns."""
    root = stream_root(np.uint64(seed), kind)
    for begin in range(0, count, LANES):
        held = min(LANES, count - begin)
        for column in range(3):
            for index in range(held):
                word = load_i8(columns, column * count + begin + index)
                store_i8(lanes, column * LANES + index, word)
        draw_block(lanes, held, root)
        for index in range(held):
            store_i8(drawn, begin + index, load_i8(lanes, Lane.DRAW + index))


def native_draws(seed: int, postings: Integers, kind: int, a: Floats, b: Floats) -> Floats:
    columns = np.concatenate((postings, a.view(np.int64), b.view(np.int64)))
    drawn, lanes = np.empty(postings.size), np.zeros(Lane.WORDS, np.int64)
    _draw_all(seed, kind, postings.size, *(address_of(each) for each in (columns, drawn, lanes)))
    return drawn


def test_draws_are_those_of_the_arrays() -> None:
    generator = np.random.default_rng(11)
    count = 60_000
    postings = generator.integers(-(2**62), 2**62, count)
    a, b = (10.0 ** generator.uniform(-3, 7, count) for _ in range(2))
    a, b = (shapes.astype(np.float32).astype(np.float64) for shapes in (a, b))
    seed = 2**64 - 59
    expected = draw_betas(seed, postings, 5, a, b)
    np.testing.assert_allclose(native_draws(seed, postings, 5, a, b), expected, rtol=1e-9, atol=0)


def test_the_smallest_and_the_largest_shapes_are_drawn() -> None:
    a = np.array([1e-9, 1e-9, 1e15, 1e15, 1.0, np.nextafter(1.0, 0)])
    b = np.array([1e-9, 1e15, 1e-9, 1e15, 1.0, 1.0])
    postings = np.arange(a.size)
    expected = draw_betas(3, postings, 0, a, b)
    np.testing.assert_allclose(native_draws(3, postings, 0, a, b), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_draws_are_beta(a: float, b: float) -> None:
    """Fixed seed; a right sampler fails once in a thousand such seeds."""
    postings = np.arange(200_000)
    shapes = np.full(postings.size, float(a)), np.full(postings.size, float(b))
    drawn = native_draws(20_260_717, postings, 2, *shapes)
    assert stats.kstest(drawn, stats.beta(a, b).cdf).pvalue > 1e-3


def test_the_squeeze_takes_in_nothing_that_the_bound_does_not() -> None:
    """To the last digit that a uniform and the bound have in 64 bits."""
    for depth in (2 / 3, 1.0, 4.0, 100.0, 1e6):
        for x in np.linspace(-12.0, 12.0, 961).tolist():
            bend = x / (3.0 * math.sqrt(depth))
            if bend <= -1.0:
                assert not surely_kept(0.0, bend, depth)
                continue
            bound = 0.5 * x * x + depth * (3 * math.log1p(bend) - bend * (3 + bend * (3 + bend)))
            assert not surely_kept(math.exp(min(bound, 0.0)) + 1e-12, bend, depth)


def test_a_draw_does_not_depend_on_its_neighbours() -> None:
    generator = np.random.default_rng(12)
    postings = np.arange(3 * LANES + 7)
    a, b = generator.gamma(2.0, 3.0, postings.size), generator.gamma(2.0, 30.0, postings.size)
    drawn, order = native_draws(1, postings, 3, a, b), generator.permutation(postings.size)[: LANES + 3]
    assert native_draws(1, postings[order], 3, a[order], b[order]).tolist() == drawn[order].tolist()


def test_sharpening_is_that_of_the_arrays() -> None:
    shapes = np.array([1e-9, 0.5, 3.0, 1e6, 1e15])
    for exploration in (0.25, 1.0, 2.0):
        cut = np.clip(sharpen(shapes, shapes, exploration)[0], SHAPE_FLOOR, SHAPE_CEILING)
        expected = cut.tolist()
        assert [sharpened(shape, exploration) for shape in shapes.tolist()] == expected
