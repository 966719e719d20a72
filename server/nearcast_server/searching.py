"""The plain way to find: every candidate comes from the index, and is judged and scored here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as dataclass_replace

import numpy as np
from msgspec.structs import replace

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.factors import Subject
from nearcast_bandit.record import Pool
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k
from nearcast_catalogue.eligibility import eligible
from nearcast_catalogue.item import ServedItem
from nearcast_server.arrangedhits import ArrangedHits, traits_of
from nearcast_server.arranging import Arrangement, arrange
from nearcast_server.evidence import Beliefs
from nearcast_server.finding import Finding, Listed, Search, Shown, Shuffled
from nearcast_server.gathering import Gathered, gather
from nearcast_server.orders import Candidates, steady
from nearcast_store.index.protocol import GeoIndex, Hit


class IndexFinder:
    """The reference: what anything quicker has to be equal to."""

    def __init__(self, index: GeoIndex) -> None:
        self._index = index

    async def find(self, search: Search) -> Finding:
        """The best items for a question. Raises IndexUnavailableError."""
        passed: dict[int, ServedItem] = {}
        gathered = await gather(
            self._index,
            search.view.tenant_id,
            search.center,
            search.reach,
            _judge(search, passed),
        )
        if isinstance(search.ranking, Listed):
            return _listed(search, search.ranking, gathered)
        hits = gathered.hits
        candidates = Candidates.of(hits, _beliefs(search, hits))
        factors = _factors(search, hits)
        order, scores, arrangement = _placed(search, candidates, factors, passed)
        chosen = [hits[index] for index in order.tolist()]
        found = _finding(search, gathered, chosen, scores[order].tolist(), len(hits))
        if not search.captured and arrangement is None:
            return found
        pool = (
            _told(candidates, factors, arrangement, _is_new(search, candidates)) if search.captured else None
        )
        paused = await self._paused(search, found) if search.captured else 0
        lines = candidates.beliefs.prior_lines
        return replace(found, pool=pool, arrangement=arrangement, capped=paused, begun=lambda: lines)

    async def _paused(self, search: Search, found: Finding) -> int:
        """How many there would be beside what was found, if nothing paused."""
        if not search.capped.size:
            return 0
        may, left_out, radius_m = eligible(search.wanted, search.now), search.left_out, found.radius_used_m
        reach = replace(search.reach, radius_m=radius_m, from_m=radius_m, max_radius_m=radius_m, factors=())
        whole = await gather(
            self._index,
            search.view.tenant_id,
            search.center,
            reach,
            lambda item: item.posting not in left_out and may(item),
        )
        return max(len(whole.hits) - found.eligible, 0)


def _judge(search: Search, passed: dict[int, ServedItem]) -> Callable[[ServedItem], bool]:
    """Whether an item may be shown; the last of the page before are noted in `passed`."""
    may, left_out = eligible(search.wanted, search.now), search.excluded
    before = frozenset(search.plan.before) if search.plan is not None else None
    if not before:
        return (lambda item: item.posting not in left_out and may(item)) if left_out else may

    def judge(item: ServedItem) -> bool:
        if item.posting in before:
            passed[item.posting] = item
        return item.posting not in left_out and may(item)

    return judge


def _placed(
    search: Search, candidates: Candidates, factors: Floats | None, passed: Mapping[int, ServedItem]
) -> tuple[Integers, Floats, Arrangement | None]:
    """Indices of the items of the page in their places, and every candidate's score."""
    plan, hits = search.plan, candidates.hits
    if plan is None:
        return *_ordered(search, candidates, factors), None
    order, scores = _ordered(replace(search, limit=max(len(hits), 1)), candidates, factors)
    shown, arrangement = arrange(
        ArrangedHits(hits, order, passed, _is_new(search, candidates)), plan, search.limit
    )
    index_of = {posting: index for index, posting in enumerate(candidates.postings.tolist())}
    return np.array([index_of[posting] for posting in shown], np.int64), scores, arrangement


def _is_new(search: Search, candidates: Candidates) -> Booleans | None:
    """Of each candidate, where it matters."""
    plan = search.plan
    if plan is None or plan.budget is None:
        return None
    is_new: Booleans = search.view.evidence.impressions_of(candidates.postings.tolist()) < plan.new_until
    return is_new


def _listed(search: Search, ranking: Listed, gathered: Gathered) -> Finding:
    hits = gathered.hits
    begin = ranking.begin([hit.distance_m for hit in hits], lambda index: hits[index].served.item.item_id)
    page = hits[begin : begin + search.limit]
    return _finding(search, gathered, page, [-hit.distance_m for hit in page], len(hits) - begin)


def _factors(search: Search, hits: Sequence[Hit]) -> Floats | None:
    factors = search.factors
    return None if factors is None else np.array([factors.of(subject_of(hit)) for hit in hits], np.float64)


def subject_of(hit: Hit) -> Subject:
    """What factors go by."""
    served, item = hit.served, hit.served.item
    tags = frozenset(tag.name for tag in item.tags)
    return Subject(served.posting, item.category, tags, item.owner, hit.distance_m)


def _ordered(search: Search, candidates: Candidates, factors: Floats | None) -> tuple[Integers, Floats]:
    """Indices of the best items, best first, and every candidate's score."""
    ranking, postings = search.ranking, candidates.postings
    if not candidates.hits or isinstance(ranking, Listed):
        return np.empty(0, np.int64), np.empty(0)
    if isinstance(ranking, Shuffled):
        beliefs = candidates.beliefs
        means = _multiplied(mean_scores(beliefs.weights, beliefs.a, beliefs.b), factors)
        pool = top_k(means, postings, ranking.pool)
        return pool[shuffle_order(ranking.seed, postings[pool])][: search.limit], means
    order = search.view.orders[ranking.feed]
    order = steady(order) if ranking.by_mean else order
    scores = _multiplied(order.scores(candidates, ranking.seed), factors)
    return top_k(scores, postings, search.limit), scores


def _multiplied(scores: Floats, factors: Floats | None) -> Floats:
    return scores if factors is None else scores * factors


def _told(
    candidates: Candidates, factors: Floats | None, arrangement: Arrangement | None, is_new: Booleans | None
) -> Pool:
    """The pool, with what places were given by."""
    pool = dataclass_replace(_pool(candidates, factors), is_new=is_new)
    if arrangement is None or not arrangement.layout.diversity.is_on:
        return pool
    everyone = [traits_of(hit.served) for hit in candidates.hits]
    return arrangement.numbers.told(pool, everyone)


def _pool(candidates: Candidates, factors: Floats | None) -> Pool:
    hits, beliefs = candidates.hits, candidates.beliefs
    return Pool(
        candidates.postings,
        np.array([hit.distance_m for hit in hits], np.float64),
        np.array([hit.served.born_at for hit in hits], np.float64),
        beliefs.numbers,
        beliefs.a,
        beliefs.b,
        factors,
    )


def _finding(
    search: Search, gathered: Gathered, chosen: Sequence[Hit], scores: Sequence[float], count: int
) -> Finding:
    return Finding(
        [_shown(hit) for hit in chosen],
        [hit.served.posting for hit in chosen],
        scores,
        count,
        gathered.radius_used_m,
        gathered.truncated,
        gathered.exhausted,
        lambda: _beliefs(search, chosen),
    )


def _beliefs(search: Search, hits: Sequence[Hit]) -> Beliefs:
    places = ((hit.served.market, hit.served.item.category) for hit in hits)
    return search.view.evidence.beliefs([hit.served.posting for hit in hits], places)


def _shown(hit: Hit) -> Shown:
    served = hit.served
    return Shown(served.posting, served.item.item_id, hit.distance_m, hit.place, served.market, served)
