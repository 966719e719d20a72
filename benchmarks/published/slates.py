"""A small world whose truth is known: slates logged by an early belief, to be judged for a later one."""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.propensity import draw_propensities
from nearcast_bandit.ranking import Ranking

ATTENTION = np.array([1.0, 0.6, 0.4])
ITEMS, POSITIONS = 30, ATTENTION.size
PRIOR = (4.0, 76.0)
EARLY_EXPOSURES, LATE_EXPOSURES = 80, 1000


@dataclass(frozen=True, slots=True, eq=False)
class SlateWorld:
    """True rates, the belief that logs (A and B), and P(item at position) when logging and of the target."""

    rates: Floats
    early: tuple[Floats, Floats]
    logged: Floats
    target: Floats

    def value(self, propensities: Floats) -> float:
        """The true reward per slate of a policy with these propensities."""
        return float((propensities * self.rates[:, None] * ATTENTION).sum())

    def log(self, requests: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Items shown and their rewards: a row per request, a column per position."""
        draws = rng.beta(*self.early, (requests, ITEMS))
        best = np.argpartition(-draws, POSITIONS - 1, axis=1)[:, :POSITIONS]
        order = np.argsort(-np.take_along_axis(draws, best, axis=1), axis=1)
        shown = np.take_along_axis(best, order, axis=1)
        rewards = rng.random(shown.shape) < self.rates[shown] * ATTENTION
        return shown, rewards.astype(np.float64)

    def rows(self, shown: Integers, rewards: Floats, logged: Floats) -> ShownItems:
        """The log as an evaluation reads it, each request a session; `logged` is what is taken for P."""
        request = np.repeat(np.arange(shown.shape[0]), POSITIONS)
        place, item = np.tile(np.arange(POSITIONS), shown.shape[0]), shown.reshape(-1)
        return ShownItems(
            session=request,
            request=request,
            position=place + 1,
            reward=rewards.reshape(-1),
            logged=logged[item, place],
            target=self.target[item, place],
            unsupported=np.where(logged > 0, 0.0, self.target).sum(axis=0)[place],
        )


def slate_world(seed: int) -> SlateWorld:
    """Rates from the prior, an early belief from few exposures of each item and a later one from many."""
    rng = np.random.default_rng(seed)
    rates = rng.beta(*PRIOR, ITEMS)
    few = rng.binomial(EARLY_EXPOSURES, rates)
    more = few + rng.binomial(LATE_EXPOSURES - EARLY_EXPOSURES, rates)
    early, late = _belief(EARLY_EXPOSURES, few), _belief(LATE_EXPOSURES, more)
    return SlateWorld(
        rates,
        early,
        draw_propensities(ranking(early), POSITIONS),
        draw_propensities(ranking(late), POSITIONS),
    )


def ranking(belief: tuple[Floats, Floats]) -> Ranking:
    """The ranking that a belief draws."""
    a, b = belief
    return Ranking(np.arange(a.size), (1,), (1.0,), a[None, :], b[None, :])


def _belief(exposures: int, successes: Integers) -> tuple[Floats, Floats]:
    gained = successes.astype(np.float64)
    return PRIOR[0] + gained, PRIOR[1] + exposures - gained
