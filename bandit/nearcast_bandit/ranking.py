"""One ranking as it is drawn: the candidates of a request, what is believed of each, and how scores are made.

    score = factor * sum over kinds of weight * draw          a draw of Beta(A, B), sharpened by `exploration`

Candidates are those left after filters, caps and newcomer rules: what acts before the draw is in this list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.posterior import sharpen
from nearcast_bandit.scoring import mean_scores, top_k, weighted_scores


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """A and B have a row per kind and a column per posting; `factors` (distance, boosts) default to 1."""

    postings: Integers
    kinds: Sequence[int]
    weights: Sequence[float]
    a: Floats
    b: Floats
    exploration: float = 1.0
    factors: Floats | None = None

    def __post_init__(self) -> None:
        shape = (len(self.kinds), self.postings.size)
        if len(self.weights) != len(self.kinds) or self.a.shape != shape or self.b.shape != shape:
            raise ValueError(
                f"{shape[0]} kinds of {shape[1]} postings need {shape[0]} weights and A and B of"
                f" shape {shape}, not {len(self.weights)} weights, {self.a.shape} and {self.b.shape}"
            )
        if not self.kinds or not np.isfinite(self.weights).all() or not any(self.weights):
            raise ValueError(f"weights are {list(self.weights)}; they must be finite, and one of them not 0")
        if self.factors is not None and (
            self.factors.shape != self.postings.shape
            or not np.isfinite(self.factors).all()
            or not (self.factors > 0).all()
        ):
            raise ValueError("factors must be one number above 0 for every posting")

    @property
    def shapes(self) -> tuple[Floats, Floats]:
        """A and B as they are drawn from."""
        return sharpen(self.a, self.b, self.exploration)

    def scores(self, seed: int) -> Floats:
        """The drawn score of each candidate."""
        drawn = weighted_scores(
            seed, self.postings, self.kinds, self.weights, self.a, self.b, self.exploration
        )
        return drawn if self.factors is None else drawn * self.factors

    def order(self, seed: int, k: int) -> Integers:
        """Indices of the k best for this seed, best first: the slate that was served, drawn once more."""
        return top_k(self.scores(seed), self.postings, k)

    def pool(self, size: int) -> Integers:
        """Indices of the best by posterior mean: what the exploration floor shuffles."""
        means = mean_scores(self.weights, self.a, self.b)
        return top_k(means if self.factors is None else means * self.factors, self.postings, size)
