"""Priors set by how often a new item shall beat the incumbent: the item in the last place of its market."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.fitting import LEAST_EXPOSURES, FitKind
from nearcast_bandit.hierarchy import Evidence, LevelPrior, PriorTable
from nearcast_bandit.hierarchy import Place as Numbered
from nearcast_bandit.newcomer import Incumbent, prior_for_chance
from nearcast_bandit.posterior import posterior_mean, posteriors


def set_by_chance(
    table: PriorTable, evidence: Evidence, chance: float, last_place: int
) -> Mapping[Numbered, LevelPrior]:
    """The fitted strengths, with means at which a new item beats the incumbent just so often.

    A market of which nothing is known yet keeps what was fitted.
    """
    seen = np.flatnonzero(evidence.is_learned_from & (evidence.exposures >= LEAST_EXPOSURES))
    a, b = _posteriors(table, evidence, seen)
    markets = evidence.market[seen]
    incumbents: dict[int | None, Incumbent | None] = {None: _incumbent(a, b, last_place)}
    for market in np.unique(markets).tolist():
        here = markets == market
        incumbents[market] = _incumbent(a[here], b[here], last_place)
    return {place: _set(each, incumbents.get(place[0]), chance) for place, each in table.levels.items()}


def _posteriors(table: PriorTable, evidence: Evidence, seen: Integers) -> tuple[Floats, Floats]:
    """As they are by what was fitted."""
    pairs, which = np.unique(
        np.stack((evidence.market[seen], evidence.category[seen])), axis=1, return_inverse=True
    )
    priors = [table.of(*pair).prior for pair in pairs.T.tolist()]
    means = np.array([prior.mean for prior in priors], np.float64)[which]
    strengths = np.array([prior.strength for prior in priors], np.float64)[which]
    return posteriors(means, strengths, evidence.exposures[seen], evidence.successes[seen])


def _incumbent(a: Floats, b: Floats, last_place: int) -> Incumbent | None:
    """The item in that place by posterior mean, or in the last that is taken."""
    if not a.size:
        return None
    means = posterior_mean(a, b)
    rank = min(last_place, a.size) - 1
    item = int(np.argpartition(-means, rank)[rank])
    mean = float(means[item])
    return Incumbent(mean, mean * (1 - mean) / (float(a[item] + b[item]) + 1))


def _set(fitted: LevelPrior, incumbent: Incumbent | None, chance: float) -> LevelPrior:
    if incumbent is None:
        return fitted
    prior = prior_for_chance(chance, fitted.prior.strength, incumbent)
    return replace(fitted, prior=prior, kind=FitKind.BY_CHANCE)
