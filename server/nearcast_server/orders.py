"""The ways to order items. A feed is anything that scores candidates: a model is one more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.scoring import mean_scores, weighted_scores
from nearcast_config.orders.way import Way
from nearcast_config.orders.ways import way_of
from nearcast_config.policy import Policy
from nearcast_server.evidence import Beliefs
from nearcast_store.index.protocol import Hit


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may be shown, as columns, with what is believed of each."""

    hits: Sequence[Hit]
    postings: Integers
    beliefs: Beliefs

    @classmethod
    def of(cls, hits: Sequence[Hit], beliefs: Beliefs) -> "Candidates":
        """Columns of these hits; `beliefs` has them in the same order."""
        return cls(hits, beliefs.postings, beliefs)


class Order(Protocol):
    """Scores candidates; a higher score stands earlier."""

    def scores(self, candidates: Candidates, seed: int) -> Floats:
        """One finite score per candidate."""
        ...


class Nearest:
    """By distance; the score is minus the metres."""

    def scores(self, candidates: Candidates, seed: int) -> Floats:  # noqa: ARG002 - the same for every seed
        """One finite score per candidate."""
        return np.array([-hit.distance_m for hit in candidates.hits])


class Newest:
    """By the beginning of the item's life; the score is that time in seconds."""

    def scores(self, candidates: Candidates, seed: int) -> Floats:  # noqa: ARG002 - the same for every seed
        """One finite score per candidate."""
        return np.array([hit.served.born_at for hit in candidates.hits])


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """By the weighted sum of the rates of some kinds, as believed on average."""

    weights: tuple[tuple[str, float], ...]

    def scores(self, candidates: Candidates, seed: int) -> Floats:  # noqa: ARG002 - the same for every seed
        """One finite score per candidate."""
        beliefs = candidates.beliefs
        rows = [beliefs.kinds.index(kind) for kind, _ in self.weights]
        return mean_scores([weight for _, weight in self.weights], beliefs.a[rows], beliefs.b[rows])


@dataclass(frozen=True, slots=True)
class WeightedDraw:
    """By the weighted sum of one Thompson draw for each of some kinds."""

    weights: tuple[tuple[str, float], ...]
    sharpness: float

    def scores(self, candidates: Candidates, seed: int) -> Floats:
        """One finite score per candidate."""
        beliefs = candidates.beliefs
        rows = [beliefs.kinds.index(kind) for kind, _ in self.weights]
        return weighted_scores(
            seed,
            candidates.postings,
            [beliefs.numbers[row] for row in rows],
            [weight for _, weight in self.weights],
            beliefs.a[rows],
            beliefs.b[rows],
            self.sharpness,
        )


def steady(order: Order) -> Order:
    """The same order without draws."""
    return WeightedMean(order.weights) if isinstance(order, WeightedDraw) else order


def orders_of(policy: Policy) -> dict[str, Order]:
    """The order behind every feed of a policy."""
    return {name: _order(way_of(policy, name), policy.exploration.sharpness) for name in policy.feeds}


def _order(way: Way, sharpness: float) -> Order:
    match way.by:
        case "nearest":
            return Nearest()
        case "newest":
            return Newest()
        case "most":
            return WeightedMean(way.weights)
        case "draw":
            return WeightedDraw(way.weights, sharpness)
