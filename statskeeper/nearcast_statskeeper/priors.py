"""The priors that fit what was counted best: pure, from counts and policy to a numbered fit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import msgspec
import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures
from nearcast_bandit.fitting import StrengthBounds
from nearcast_bandit.hierarchy import Evidence, LevelPrior, fit_priors
from nearcast_bandit.posterior import Prior
from nearcast_ledger.kinds import IMPRESSION, PASSED_OVER
from nearcast_statskeeper.newcomers import set_by_chance
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import Exposing, markets_apart
from nearcast_store.policies.protocol import Revision
from nearcast_store.priors.protocol import PriorFit, Region

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What some postings have shown: E and S by kind (rows) and posting (columns).

    `whole` is what E would be if all successes had come; `before` and `current` are the impressions of the
    hour before this one and of this one so far.
    """

    postings: Integers
    exposures: Floats
    successes: Floats
    whole: Floats
    before: Floats
    current: Floats


def is_due(latest: PriorFit | None, revision: Revision, kept: Exposing, now: float) -> bool:
    """Whether a new fit must be made: there is none, it rests on other settings, or it is old."""
    priors = revision.policy.priors
    if priors.mode == "fixed":
        return False
    if latest is None or latest.basis != basis_of(revision, kept):
        return True
    # A clock that was set back must not make a fit last for longer.
    return not 0 <= now - latest.fitted_at < priors.fit_every_hours * _HOUR_S


def basis_of(revision: Revision, kept: Exposing) -> bytes:
    """32 bytes that differ when anything does that a fit rests on."""
    policy = revision.policy
    kinds = [
        (revision.kinds[name], kind.prior_mean, kind.prior_strength, kind.maturity_hours)
        for name, kind in policy.kinds.items()
    ]
    bounds = (policy.priors.strength_min, policy.priors.strength_max, policy.priors.mature_share)
    chance = policy.newcomers.beats_incumbent
    last_place = policy.slate.default_limit if chance else 0
    rests_on = (kinds, bounds, kept, chance, last_place, policy.caps)
    return sha256(msgspec.json.encode(rests_on)).digest()


def seen_in(columns: CountColumns, revision: Revision, kept: Exposing, now: float) -> Seen:
    """What these counts come to at that time, under this policy."""
    if not kept.half_lives:
        return _seen_by(kept.rules, columns, revision, kept, now)
    apart = markets_apart(kept, columns.markets.tolist())
    elsewhere = ~np.isin(columns.markets, sorted(set().union(*apart.values())))
    parts = [_seen_by(kept.rules, columns.take(np.flatnonzero(elsewhere)), revision, kept, now)]
    for half_life_hours, markets in apart.items():
        there = columns.take(np.flatnonzero(np.isin(columns.markets, sorted(markets))))
        parts.append(_seen_by(kept.rules_for(half_life_hours), there, revision, kept, now))
    return seen_together(parts, len(kept.rules))


def _seen_by(
    rules: Iterable[ExposureRule], columns: CountColumns, revision: Revision, kept: Exposing, now: float
) -> Seen:
    postings, rows = np.unique(columns.postings, return_inverse=True)
    impressions = np.where(columns.kinds == IMPRESSION, columns.counts, 0)
    shown = impressions
    if kept.cascades:
        shown = impressions - np.where(columns.kinds == PASSED_OVER, columns.counts, 0)
    evidence = []
    for name, rule in zip(revision.policy.kinds, rules, strict=True):
        succeeded = np.where(columns.kinds == revision.kinds[name], columns.counts, 0)
        buckets = Buckets(rows, columns.buckets, columns.position_buckets, shown, succeeded)
        ripe = exposures(buckets, rule, now / _HOUR_S, postings.size)
        at_once = replace(rule, maturity_mean_hours=0.0)
        evidence.append((*ripe, exposures(buckets, at_once, now / _HOUR_S, postings.size)[0]))
    hour = int(now // _HOUR_S)
    before, current = (
        np.bincount(rows, np.where(columns.buckets == each, impressions, 0), postings.size).astype(np.float64)
        for each in (hour - 1, hour)
    )
    return Seen(postings, *_rows(evidence, postings.size), before, current)


def seen_together(parts: Iterable[Seen], kinds: int) -> Seen:
    """Of every posting the sum of what it has shown in each part."""
    none = np.empty((kinds, 0))
    empty = Seen(np.empty(0, np.int64), none, none, none, np.empty(0), np.empty(0))
    told = [empty, *parts]
    postings, rows = np.unique(np.concatenate([each.postings for each in told]), return_inverse=True)
    sums = []
    for name in ("exposures", "successes", "whole"):
        values = np.concatenate([getattr(each, name) for each in told], axis=1)
        sums.append(np.array([np.bincount(rows, line, postings.size) for line in values]))
    before, current = (
        np.bincount(rows, np.concatenate([getattr(each, name) for each in told]), postings.size)
        for name in ("before", "current")
    )
    exposed, succeeded, whole = (each.reshape(kinds, postings.size) for each in sums)
    return Seen(postings, exposed, succeeded, whole, before.astype(np.float64), current.astype(np.float64))


def fit_of(
    latest: PriorFit | None,
    revision: Revision,
    kept: Exposing,
    seen: Seen,
    regions: Mapping[int, tuple[int, str]],
    now: float,
    pausing: Booleans | None = None,
) -> PriorFit:
    """The fit that follows; postings of which no region is known are left out.

    Nothing is learned from those `pausing`: what they could have had was cut short.
    """
    known = np.array([posting in regions for posting in seen.postings.tolist()], dtype=np.bool)
    places = [regions[posting] for posting in seen.postings[known].tolist()]
    names = sorted({category for _, category in places})
    numbers = {name: number for number, name in enumerate(names)}
    market = np.array([market for market, _ in places], dtype=np.int64)
    category = np.array([numbers[name] for _, name in places], dtype=np.int64)
    priors, goes_on = {}, np.ones(seen.postings.size, np.bool) if pausing is None else ~pausing
    for row, (name, kind) in enumerate(revision.policy.kinds.items()):
        lines = Evidence(
            market,
            category,
            seen.exposures[row, known],
            seen.successes[row, known],
            (_is_mature(seen, row, revision.policy.priors.mature_share) & goes_on)[known],
        )
        bounds = StrengthBounds(revision.policy.priors.strength_min, revision.policy.priors.strength_max)
        table = fit_priors(lines, Prior(kind.prior_mean, kind.prior_strength), bounds)
        chance, levels = revision.policy.newcomers.beats_incumbent, table.levels
        if chance:
            levels = set_by_chance(table, lines, chance, revision.policy.slate.default_limit)
        priors[revision.kinds[name]] = _named(levels, names)
    return PriorFit(
        revision.tenant_id,
        latest.number + 1 if latest else 1,
        basis_of(revision, kept),
        # As exact as it is kept.
        round(now, 6),
        priors,
    )


def _rows(evidence: list[tuple[Floats, Floats, Floats]], size: int) -> tuple[Floats, Floats, Floats]:
    columns = zip(*evidence, strict=True) if evidence else ((), (), ())
    exposed, succeeded, whole = (np.array(each).reshape(len(evidence), size) for each in columns)
    return exposed, succeeded, whole


def _is_mature(seen: Seen, row: int, share: float) -> Booleans:
    """What is too young would be taken for a low rate."""
    mature: Booleans = seen.exposures[row] >= share * seen.whole[row]
    return mature


def _named(
    levels: Mapping[tuple[int | None, int | None], LevelPrior], names: list[str]
) -> dict[Region, LevelPrior]:
    return {
        (market, None if category is None else names[category]): each
        for (market, category), each in levels.items()
    }
