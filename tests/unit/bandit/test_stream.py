import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.stream import (
    BLOCK_STEP,
    GOLDEN,
    KIND_STEP,
    MASK,
    mix_word,
    request_seed,
    stream_keys,
    uniforms,
    words,
)

SECRET = b"a secret of the deployment"
POSTINGS = np.arange(100_000, dtype=np.int64)
GOLDEN_WORDS = [6121267344320438703, 13583783936887148101, 6994078449925312063, 3548425813514398748]
GOLDEN_SEED = 16185065408080004278


def test_the_words_are_those_of_the_published_formula() -> None:
    seed, posting, kind = 2**63 + 12345, -7, 3
    root = mix_word((mix_word(seed) + (kind + 1) * KIND_STEP) & MASK)
    key = mix_word((root + posting * GOLDEN) & MASK)
    keys = stream_keys(seed, np.array([posting], dtype=np.int64), kind)
    assert keys.tolist() == [key]
    for index in (0, 1, 2, 3, 1000):
        assert words(keys, index).tolist() == [mix_word((key + (index + 1) * GOLDEN) & MASK)]


def test_the_words_never_change() -> None:
    keys = stream_keys(42, np.array([0, 1, 2**62, -1], dtype=np.int64), 1)
    assert words(keys, 0).tolist() == GOLDEN_WORDS


def test_moving_the_cursor_by_a_block_is_reading_four_words_further() -> None:
    keys = stream_keys(1, POSTINGS[:50], 1)
    np.testing.assert_array_equal(words(keys + np.uint64(BLOCK_STEP), 1), words(keys, 5))


def test_seeds_postings_and_kinds_have_streams_of_their_own() -> None:
    streams = np.concatenate([stream_keys(seed, POSTINGS, kind) for seed in (1, 2, 3) for kind in (-1, 0, 1)])
    assert np.unique(streams).size == streams.size


def test_narrow_and_strided_postings_are_read_by_value() -> None:
    expected = stream_keys(5, POSTINGS[:10:2], 1)
    np.testing.assert_array_equal(stream_keys(5, np.arange(0, 10, 2, dtype=np.int32), 1), expected)
    np.testing.assert_array_equal(stream_keys(5, np.arange(0, 10, 2), 1), expected)


def test_uniforms_never_reach_zero_or_one() -> None:
    lowest, highest = uniforms(np.array([0, MASK], dtype=np.uint64))
    assert lowest == 2.0**-53
    assert highest == 1 - 2.0**-53


@pytest.mark.parametrize("index", [0, 1, 7])
def test_words_of_neighbouring_postings_are_uniform_and_uncorrelated(index: int) -> None:
    spots = uniforms(words(stream_keys(9, POSTINGS, 2), index))
    assert stats.kstest(spots, "uniform").statistic <= 2.69 / np.sqrt(spots.size)
    for lag in (1, 2, 64):
        # Six standard errors of a correlation of independent values.
        assert abs(np.corrcoef(spots[lag:], spots[:-lag])[0, 1]) < 6 / np.sqrt(spots.size)


def test_every_bit_of_a_word_is_fair() -> None:
    drawn = words(stream_keys(10, POSTINGS, 2), 0)
    ones = [int(((drawn >> np.uint64(bit)) & np.uint64(1)).sum()) for bit in range(64)]
    assert max(abs(count - POSTINGS.size / 2) for count in ones) < 6 * np.sqrt(POSTINGS.size) / 2


def test_neighbouring_seeds_are_uncorrelated() -> None:
    spots = [uniforms(words(stream_keys(seed, POSTINGS, 1), 0)) for seed in (0, 1, 2, 2**63)]
    correlations = np.corrcoef(spots) - np.eye(len(spots))
    assert np.abs(correlations).max() < 6 / np.sqrt(POSTINGS.size)


def test_the_request_seed_never_changes() -> None:
    assert request_seed(SECRET, 7, b"session", 11) == GOLDEN_SEED


def test_the_request_seed_depends_on_each_of_its_parts() -> None:
    seeds = {
        request_seed(SECRET, 7, b"session", 11),
        request_seed(b"another secret", 7, b"session", 11),
        request_seed(SECRET, 8, b"session", 11),
        request_seed(SECRET, 7, b"sessions", 11),
        request_seed(SECRET, 7, b"session", 12),
        request_seed(SECRET, 7, b"session", b"a request's own id"),
        request_seed(SECRET, 7, b"sessio", b"na request's own id"),
    }
    assert len(seeds) == 7
    assert all(0 <= seed <= MASK for seed in seeds)


@pytest.mark.parametrize("secret", [b"", b"x" * 65])
def test_a_secret_of_the_wrong_length_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes"):
        request_seed(secret, 1, b"session", 1)
