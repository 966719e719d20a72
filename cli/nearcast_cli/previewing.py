"""What a policy would do to new items: from a tenant's own counts, before and after, market by market."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.entering import Crowd, Entry, entry_of
from nearcast_bandit.posterior import posteriors
from nearcast_config.policy import Policy
from nearcast_server.priors import Priors, priors_of
from nearcast_statskeeper.priors import Seen, fit_of
from nearcast_store.counting.exposing import Exposing
from nearcast_store.policies.numbering import missing_numbers, revision_of
from nearcast_store.policies.protocol import Realm, Revision

# Fewer exposures than one are none.
KNOWN_FROM_EXPOSURES = 1.0

Regions = Mapping[int, tuple[int, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A policy, what was counted as it counts it, and what it believes of items nobody has seen."""

    revision: Revision
    seen: Seen
    priors: Priors

    @property
    def kinds(self) -> list[int]:
        """The rows of kinds with a weight."""
        return [row for row, kind in enumerate(self.revision.policy.kinds.values()) if kind.weight > 0]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How new items fare in a market under a policy, and the exposures all that was seen there comes to."""

    entry: Entry
    places: int
    exposures: float


@dataclass(frozen=True, slots=True)
class MarketPreview:
    """A market under both policies; without outlooks `missing` says what there is too little of."""

    market: str
    items: int
    new_items: int
    before: Outlook | None = None
    after: Outlook | None = None
    missing: str = ""


def proposed(in_force: Revision, policy: Policy) -> Revision:
    """A policy as a revision that is not kept: what it names anew gets numbers that nobody counted by."""
    known: dict[Realm, dict[str, int]] = {
        "kind": dict(in_force.kinds),
        "feed": dict(in_force.feeds),
        "scenario": dict(in_force.scenarios),
        "segment": dict(in_force.segments),
    }
    for realm, slug, number in missing_numbers(known, policy):
        known[realm][slug] = number
    return revision_of(in_force.tenant_id, in_force.number + 1, policy, known)


def side_of(
    revision: Revision,
    kept: Exposing,
    seen: Seen,
    regions: Regions,
    markets: Mapping[str, int],
    now: float,
) -> Side:
    """With priors fitted now where they are learned, so that both sides rest on the same counts."""
    learned = revision.policy.priors.mode == "learned"
    fit = fit_of(None, revision, kept, seen, dict(regions), now) if learned else None
    return Side(revision, seen, priors_of(revision, fit, markets))


def preview(
    sides: tuple[Side, Side], live: Regions, names: Mapping[int, str], top: int, candidates: int
) -> list[MarketPreview]:
    """The markets with the most items, "" for outside of all; at most so many of a market compete."""
    sizes = Counter(market for market, _ in live.values())
    largest = sorted(sizes, key=lambda market: (-sizes[market], market))[:top]
    return [
        _of_market(sides, market, live, names.get(market, "" if market == 0 else str(market)), candidates)
        for market in largest
    ]


def _of_market(
    sides: tuple[Side, Side], market: int, live: Regions, name: str, candidates: int
) -> MarketPreview:
    postings = np.array([posting for posting, (place, _) in live.items() if place == market], np.int64)
    is_known = _exposures(sides[0], postings).max(axis=0, initial=0.0) >= KNOWN_FROM_EXPOSURES
    counts = int(postings.size), int((~is_known).sum())
    chosen = _evenly(np.arange(postings.size), candidates)
    competing, known = postings[chosen], is_known[chosen]
    missing = "; ".join(_lacks(sides, known))
    if missing:
        return MarketPreview(name, *counts, missing=missing)
    before, after = (_outlook(side, market, competing, known, live) for side in sides)
    return MarketPreview(name, *counts, before, after)


def _lacks(sides: tuple[Side, Side], known: Integers) -> Iterator[str]:
    for side, word in zip(sides, ("in force", "new"), strict=True):
        policy = side.revision.policy
        if not any(feed.order == "draw" for feed in policy.feeds.values()) or not side.kinds:
            yield f"the policy {word} has no feed that draws by a kind with a weight: no prior matters"
    if not known.any():
        yield "no item there has been seen for a whole exposure: there is no incumbent to compare with"


def _outlook(side: Side, market: int, competing: Integers, known: Integers, live: Regions) -> Outlook:
    policy = side.revision.policy
    places = min(policy.slate.default_limit, policy.slate.max_limit)
    exposures = _exposures(side, competing[known])
    crowd = _crowd(side, market, competing, known, live)
    entry = entry_of(crowd, places, policy.exploration.pool_size, policy.exploration.share)
    return Outlook(entry, places, float(exposures.max(axis=0, initial=0.0).sum()))


def _crowd(side: Side, market: int, competing: Integers, known: Integers, live: Regions) -> Crowd:
    priors, rows = side.priors, side.kinds
    lines = priors.lines_of(live[posting] for posting in competing.tolist())
    a, b = posteriors(
        priors.means[:, lines[known]],
        priors.strengths[:, lines[known]],
        _exposures(side, competing[known]),
        _successes(side, competing[known]),
    )
    fresh, strangers = np.unique(lines[~known], return_counts=True)
    # The item that enters is of no category yet.
    columns = np.append(fresh, priors.named.get((market, None), 0))
    fresh_a = priors.strengths[:, columns] * priors.means[:, columns]
    fresh_b = priors.strengths[:, columns] * (1 - priors.means[:, columns])
    kinds = list(side.revision.policy.kinds.values())
    return Crowd(
        [kinds[row].weight for row in rows],
        np.concatenate((a, fresh_a), axis=1)[rows],
        np.concatenate((b, fresh_b), axis=1)[rows],
        strangers,
        side.revision.policy.exploration.sharpness,
    )


def _exposures(side: Side, postings: Integers) -> Floats:
    return _columns(side.seen.postings, side.seen.exposures, postings)


def _successes(side: Side, postings: Integers) -> Floats:
    return _columns(side.seen.postings, side.seen.successes, postings)


def _columns(of: Integers, values: Floats, postings: Integers) -> Floats:
    """The columns of these postings; zeros for one that was never counted. `of` is sorted."""
    if not of.size:
        return np.zeros((values.shape[0], postings.size))
    places = np.minimum(np.searchsorted(of, postings), of.size - 1)
    found: Floats = np.where(of[places] == postings, values[:, places], 0.0)
    return found


def _evenly(places: Integers, most: int) -> Integers:
    """So many of them, the same every time: old and new alike, as postings are numbered as items come."""
    if places.size <= most:
        return places
    return places[np.arange(most) * places.size // most]


def forgets_sooner(before: Policy, after: Policy) -> bool:
    """Whether the half-life gets shorter; 0 forgets nothing."""
    old, new = before.exposure.half_life_hours, after.exposure.half_life_hours
    return new > 0 and (old == 0 or old > new)
