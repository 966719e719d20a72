"""How far an estimate may be off: sessions drawn anew with replacement, the same draw for all estimators."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.estimators import position_estimates
from nearcast_bandit.evaluation.sums import SessionSums

_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Resampling:
    """How many times sessions are drawn anew, the seed of it, and the confidence of the intervals."""

    replicates: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.replicates < 2:
            raise ValueError(f"replicates is {self.replicates}; it must be at least 2")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; it must lie in (0, 1)")

    def interval(self, values: Floats) -> tuple[float, float]:
        """Between which the middle of the values lies."""
        outside = (1 - self.confidence) / 2
        low, high = np.quantile(values, (outside, 1 - outside))
        return float(low), float(high)


def resampled_estimates(sums: SessionSums, resampling: Resampling) -> dict[str, Floats]:
    """Every estimator's value in each replicate."""
    return {name: values.sum(axis=1) for name, values in resampled_positions(sums, resampling).items()}


def resampled_positions(sums: SessionSums, resampling: Resampling) -> dict[str, Floats]:
    """What each position adds to every estimator's value: a row per replicate, a column per position."""
    parts = [position_estimates(sums.resampled(times)) for times in _times_drawn(sums.sessions, resampling)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _times_drawn(sessions: int, resampling: Resampling) -> Iterator[Floats]:
    """How often each session is drawn, a row per replicate, a batch at a time."""
    rng = np.random.default_rng(resampling.seed)
    batch = max(_NUMBERS_AT_ONCE // sessions, 1)
    for start in range(0, resampling.replicates, batch):
        rows = min(batch, resampling.replicates - start)
        drawn = rng.integers(0, sessions, (rows, sessions)) + sessions * np.arange(rows)[:, None]
        counts = np.bincount(drawn.reshape(-1), minlength=rows * sessions)
        yield counts.reshape(rows, sessions).astype(np.float64)
