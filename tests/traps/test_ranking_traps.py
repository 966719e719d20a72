"""Ways in which a bandit server goes wrong without anybody noticing: draws, random numbers, priors.

Each check is a function of an implementation. Ours passes it, and the tempting short cut beside it does not:
a check that both pass would prove nothing.
"""

import math
import multiprocessing
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_betas
from nearcast_bandit.newcomer import Incumbent, prior_for_chance
from nearcast_bandit.posterior import Prior
from nearcast_bandit.scoring import top_k, weighted_scores
from nearcast_bandit.stream import request_seed

Scores = Callable[[int], Floats]
"""The scores of forty alike candidates, of the request with that number."""

ALIKE = 40
POSTINGS = np.arange(1, ALIKE + 1)
A, B = np.full((1, ALIKE), 3.0), np.full((1, ALIKE), 97.0)
SECRET = b"k" * 32


def scores_of(request: int) -> Floats:
    seed = request_seed(SECRET, 1, b"session", request.to_bytes(16, "big"))
    return weighted_scores(seed, POSTINGS, (2,), (1.0,), A, B)


# One draw per refresh: the same ranking for everybody until the statistics change.


def is_drawn_for_each_request(scores: Scores, requests: int = 4_000) -> bool:
    """Ranks of consecutive requests are strangers to each other, and everybody comes first as often."""
    ranks = np.array([np.argsort(np.argsort(-scores(request))) for request in range(requests)])
    pairs = np.corrcoef(ranks[:-1].reshape(-1), ranks[1:].reshape(-1))[0, 1]
    first = np.bincount(np.argmin(ranks, axis=1), minlength=ALIKE)
    surprise = float(((first - requests / ALIKE) ** 2 / (requests / ALIKE)).sum())
    return abs(pairs) < 0.02 and surprise < 97  # 39 degrees of freedom, once in a million


def test_each_request_is_drawn_anew_and_not_once_per_refresh() -> None:
    pool = [scores_of(row) for row in range(4)]
    assert is_drawn_for_each_request(scores_of)
    assert not is_drawn_for_each_request(lambda _: pool[0])
    assert not is_drawn_for_each_request(lambda request: pool[request % 4])


# A normal distribution in place of a Beta: cold items vanish, or flood.


def has_the_tail_of_a_beta(draw: Callable[[float, float], Floats]) -> bool:
    """The share of draws above the true 99th percentile lies in 0.96 to 1.09 of one per cent."""
    return all(
        0.96 <= float((draw(a, b) > stats.beta.ppf(0.99, a, b)).mean()) / 0.01 <= 1.09
        for a, b in ((0.5, 20.0), (1.0, 50.0), (2.0, 100.0))
    )


def test_draws_of_cold_items_have_the_tail_of_a_beta_and_not_of_a_normal() -> None:
    count = 400_000
    postings, rng = np.arange(count), np.random.default_rng(7)

    def ours(a: float, b: float) -> Floats:
        return draw_betas(11, postings, 2, np.full(count, a), np.full(count, b))

    def normal(a: float, b: float) -> Floats:
        return rng.normal(a / (a + b), stats.beta.std(a, b), count)

    def logit_normal(a: float, b: float) -> Floats:
        mean, spread = a / (a + b), stats.beta.std(a, b)
        centre = math.log(mean / (1 - mean))
        return 1 / (1 + np.exp(-rng.normal(centre, spread / (mean * (1 - mean)), count)))

    assert has_the_tail_of_a_beta(ours)
    assert not has_the_tail_of_a_beta(normal)
    assert not has_the_tail_of_a_beta(logit_normal)


# Beta(1, 1) for new items where rates are one per cent: the slate is all new.

INCUMBENT = Incumbent(0.02, 0.02 * 0.98 / 5_001)


def leaves_the_incumbent_a_place(prior: Prior) -> bool:
    """A new item beats an incumbent of two per cent about as often as was asked for: once in ten."""
    count = 200_000
    postings = np.arange(count)
    new = draw_betas(
        3,
        postings,
        2,
        np.full(count, prior.strength * prior.mean),
        np.full(count, prior.strength * (1 - prior.mean)),
    )
    known = draw_betas(4, postings, 2, np.full(count, 0.02 * 5_000), np.full(count, 0.98 * 5_000))
    return abs(float((new > known).mean()) - 0.1) < 0.005


def test_a_new_item_beats_the_incumbent_as_often_as_the_operator_says() -> None:
    assert leaves_the_incumbent_a_place(prior_for_chance(0.1, 100.0, INCUMBENT))
    assert not leaves_the_incumbent_a_place(Prior(0.5, 2.0))


# Random numbers that are not: equal in forked workers, by the order of arrays, broken by a zero.


def _first_seeds(queue: "multiprocessing.Queue[list[int]]") -> None:
    rng = np.random.default_rng(np.random.SeedSequence())
    queue.put([request_seed(SECRET, 1, b"s", rng.bytes(16)) for _ in range(3)])


def _inherited(queue: "multiprocessing.Queue[list[int]]") -> None:
    queue.put(np.random.default_rng(0).integers(2**62, size=3).tolist())


def are_different_in_forked_workers(work: Callable[..., None]) -> bool:
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[list[int]] = context.Queue()
    workers = [context.Process(target=work, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [tuple(queue.get(timeout=30)) for _ in workers]
    for worker in workers:
        worker.join()
    return len(set(found)) == len(workers)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_workers_do_not_rank_alike() -> None:
    assert are_different_in_forked_workers(_first_seeds)
    assert not are_different_in_forked_workers(_inherited)


def is_blind_to_the_order_of_candidates(draw: Callable[[Integers], Floats]) -> bool:
    """Whoever stands elsewhere in the array, or beside others, has the same draw."""
    rng, whole = np.random.default_rng(5), draw(POSTINGS)
    for _ in range(20):
        some = rng.permutation(ALIKE)[: rng.integers(1, ALIKE)]
        if not np.array_equal(draw(POSTINGS[some]), whole[some]):
            return False
    return True


def test_a_draw_belongs_to_its_posting_and_not_to_its_place_in_an_array() -> None:
    def ours(postings: Integers) -> Floats:
        return draw_betas(9, postings, 2, np.full(postings.size, 1.0), np.full(postings.size, 50.0))

    def by_place(postings: Integers) -> Floats:
        return np.random.default_rng(9).beta(1.0, 50.0, postings.size)

    assert is_blind_to_the_order_of_candidates(ours)
    assert not is_blind_to_the_order_of_candidates(by_place)


def gives_equals_an_equal_chance(best: Callable[[int], int]) -> bool:
    """Forty candidates of whom the same is believed: each is best as often, whatever its age."""
    found = Counter(best(request) for request in range(4_000))
    return float(sum((found[int(each)] - 100) ** 2 / 100 for each in POSTINGS)) < 97


def test_ties_do_not_go_to_the_oldest() -> None:
    means = np.full(ALIKE, 0.03)
    assert gives_equals_an_equal_chance(
        lambda request: int(POSTINGS[top_k(scores_of(request), POSTINGS, 1)[0]])
    )
    assert not gives_equals_an_equal_chance(lambda _: int(POSTINGS[top_k(means, POSTINGS, 1)[0]]))


def stays_finite(draw: Callable[[Floats, Floats], Floats]) -> bool:
    """Shapes next to nothing, and a rate that is all but certain."""
    a, b = np.array([1e-9, 1e-9, 5e14, 1e-9]), np.array([1e-9, 5e14, 1e-9, 1.0])
    with np.errstate(all="ignore"):
        drawn = np.concatenate([draw(a, b) for _ in range(50)])
    return bool(np.isfinite(drawn).all() and (drawn >= 0).all() and (drawn <= 1).all())


def test_shapes_next_to_nothing_never_sort_to_the_top_as_nan() -> None:
    rng = np.random.default_rng(1)

    def quotient(a: Floats, b: Floats) -> Floats:
        first, second = rng.gamma(a), rng.gamma(b)
        ratio: Floats = first / (first + second)
        return ratio

    assert stays_finite(lambda a, b: draw_betas(1, np.arange(a.size), 2, a, b))
    assert not stays_finite(quotient)
