"""Where a rate's prior comes from: posting <- category within its market <- market <- all <- configured.

Each level is fitted to its own children with the level above as its parent (`fitting` says how): the mean
of a market is a draw of the Beta of all, the mean of a category a draw of the Beta of its market. The
spread of the children of a level holds the spread of the levels within it, so a level is pulled to its
parent as hard as the items of the parent are alike: with few items it has the parent's mean, with many its
own. No share of the blend is set by hand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.fitting import BOUNDS, Fit, FitKind, StrengthBounds, effective_trials, fit_prior
from nearcast_bandit.posterior import Prior

Place = tuple[int | None, int | None]
"""A market and a category within it; (market, None) is the whole market, (None, None) everything."""

EVERYTHING: Place = (None, None)


class Level(StrEnum):
    """The nearest level whose own evidence is in a prior."""

    CONFIGURED = "configured"
    ALL = "all"
    MARKET = "market"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Exposures and successes of one kind, a line for each posting in a market; columns of one length.

    `is_learned_from` is false for what is too young for its successes to have come, and for what an
    exposure cap holds back: both would be taken for low rates.
    """

    market: Integers
    category: Integers
    exposures: Floats
    successes: Floats
    is_learned_from: Booleans

    def __post_init__(self) -> None:
        columns = (self.market, self.category, self.exposures, self.successes, self.is_learned_from)
        shapes = {column.shape for column in columns}
        if len(shapes) > 1 or self.market.ndim != 1:
            raise ValueError(f"columns of evidence must be flat and of one length, not of shapes {shapes}")


@dataclass(frozen=True, slots=True)
class LevelPrior:
    """A prior and where it came from; `own_share` is the weight of the level's own evidence in the mean."""

    prior: Prior
    level: Level
    kind: FitKind
    children: int
    exposures: float
    successes: float
    own_share: float


@dataclass(frozen=True, slots=True)
class PriorTable:
    """The priors of every place that has evidence of its own, and always that of everything."""

    levels: Mapping[Place, LevelPrior]

    def of(self, market: int, category: int) -> LevelPrior:
        """The prior of a new posting there."""
        for place in ((market, category), (market, None)):
            found = self.levels.get(place)
            if found is not None:
                return found
        return self.levels[EVERYTHING]


def fit_priors(evidence: Evidence, configured: Prior, bounds: StrengthBounds = BOUNDS) -> PriorTable:
    """The priors of one kind; without any evidence, what is configured."""
    learned = np.flatnonzero(evidence.is_learned_from)
    top = _level(evidence, learned, configured, Level.ALL, bounds)
    levels = {EVERYTHING: top}
    for market, lines in _split(evidence.market, learned):
        levels[market, None] = middle = _level(evidence, lines, top.prior, Level.MARKET, bounds)
        for category, few in _split(evidence.category, lines):
            levels[market, category] = _level(evidence, few, middle.prior, Level.CATEGORY, bounds)
    used = {place: each for place, each in levels.items() if each.children or place == EVERYTHING}
    return PriorTable(MappingProxyType(used))


def _level(
    evidence: Evidence, lines: Integers, parent: Prior, level: Level, bounds: StrengthBounds
) -> LevelPrior:
    exposures = evidence.exposures[lines]
    fit = fit_prior(exposures, evidence.successes[lines], parent=parent, bounds=bounds)
    prior = fit.prior or parent
    return LevelPrior(
        prior,
        level if fit.children else Level.CONFIGURED,
        fit.kind,
        fit.children,
        fit.exposures,
        fit.successes,
        _own_share(fit, exposures, prior, parent),
    )


def _own_share(fit: Fit, exposures: Floats, prior: Prior, parent: Prior) -> float:
    if not fit.children:
        return 0.0
    trials = float(effective_trials(exposures[exposures >= 1], prior.strength).sum())
    return trials / (trials + parent.strength)


def _split(column: Integers, lines: Integers) -> Iterator[tuple[int, Integers]]:
    """The lines of each value of a column, in the order of the values."""
    ordered = lines[np.argsort(column[lines], kind="stable")]
    values = column[ordered]
    starts = np.flatnonzero(np.diff(values)) + 1
    for part in np.split(ordered, starts):
        if part.size:
            yield int(column[part[0]]), part
