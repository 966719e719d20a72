"""A draw is a pure function of its own (seed, posting, kind, A, B), whatever else is drawn with it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.draw import draw_betas
from nearcast_bandit.scoring import top_k, weighted_scores

SEEDS = st.integers(0, 2**64 - 1)
KINDS = st.integers(-(2**15), 2**15 - 1)
POSTINGS = st.integers(-(2**63), 2**63 - 1)
SHAPES = st.floats(1e-9, 1e15)
CANDIDATES = st.lists(st.tuples(POSTINGS, SHAPES, SHAPES), min_size=1, max_size=40)

Candidates = list[tuple[int, float, float]]


def draw(seed: int, kind: int, candidates: Candidates) -> np.ndarray:
    postings, a, b = zip(*candidates, strict=True)
    return draw_betas(seed, np.array(postings, dtype=np.int64), kind, np.array(a), np.array(b))


@given(SEEDS, KINDS, CANDIDATES)
def test_every_draw_is_a_rate(seed: int, kind: int, candidates: Candidates) -> None:
    drawn = draw(seed, kind, candidates)
    assert ((drawn >= 0) & (drawn <= 1)).all()


@given(SEEDS, KINDS, CANDIDATES, st.data())
def test_company_changes_no_draw(seed: int, kind: int, candidates: Candidates, data: st.DataObject) -> None:
    together = draw(seed, kind, candidates)
    kept = data.draw(st.permutations(range(len(candidates))))[: max(1, len(candidates) // 2)]
    np.testing.assert_array_equal(draw(seed, kind, [candidates[index] for index in kept]), together[kept])


@given(SEEDS, CANDIDATES, st.floats(0.25, 2), st.integers(0, 50))
def test_the_best_k_are_the_same_in_any_order_of_candidates(
    seed: int, candidates: Candidates, exploration: float, k: int
) -> None:
    unique = list({candidate[0]: candidate for candidate in candidates}.values())

    def best(ordered: Candidates) -> list[int]:
        postings, a, b = (np.array(column) for column in zip(*ordered, strict=True))
        # Sharpening may leave the range of shapes, so it starts from one well inside.
        inside = np.clip([[a, a], [b, b]], 1e-6, 1e12)
        scores = weighted_scores(seed, postings, (1, 2), (1.0, 3.0), inside[0], inside[1], exploration)
        return [int(posting) for posting in postings[top_k(scores, postings, k)]]

    assert best(unique) == best(unique[::-1])
    assert len(best(unique)) == min(k, len(unique))
