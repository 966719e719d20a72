"""The ways to order items. A feed is anything that scores candidates: a model is one more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.posterior import posterior_mean
from nearcast_bandit.scoring import weighted_scores
from nearcast_config.policy import Feed
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
class Most:
    """By the rate of one kind of event, as believed on average."""

    kind: str

    def scores(self, candidates: Candidates, seed: int) -> Floats:  # noqa: ARG002 - the same for every seed
        """One finite score per candidate."""
        beliefs = candidates.beliefs
        row = beliefs.kinds.index(self.kind)
        return posterior_mean(beliefs.a[row], beliefs.b[row])


@dataclass(frozen=True, slots=True)
class WeightedDraw:
    """By the weighted sum of one Thompson draw for each kind that has a weight."""

    sharpness: float

    def scores(self, candidates: Candidates, seed: int) -> Floats:
        """One finite score per candidate."""
        beliefs = candidates.beliefs
        rows = [row for row, weight in enumerate(beliefs.weights) if weight > 0]
        return weighted_scores(
            seed,
            candidates.postings,
            [beliefs.numbers[row] for row in rows],
            [beliefs.weights[row] for row in rows],
            beliefs.a[rows],
            beliefs.b[rows],
            self.sharpness,
        )


def orders_of(feeds: Mapping[str, Feed], sharpness: float) -> dict[str, Order]:
    """The order behind every feed of a policy."""
    return {name: _order(feed, sharpness) for name, feed in feeds.items()}


def _order(feed: Feed, sharpness: float) -> Order:
    match feed.order:
        case "nearest":
            return Nearest()
        case "newest":
            return Newest()
        case "most":
            return Most(feed.kind)
        case "draw":
            return WeightedDraw(sharpness)
