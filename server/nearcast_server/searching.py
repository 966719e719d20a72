"""The plain way to find: every candidate comes from the index, and is judged and scored here."""

from collections.abc import Sequence

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k
from nearcast_catalogue.eligibility import eligible
from nearcast_server.finding import Finding, Listed, Search, Shown, Shuffled
from nearcast_server.gathering import Gathered, gather
from nearcast_server.orders import Candidates
from nearcast_store.index.protocol import GeoIndex, Hit


class IndexFinder:
    """The reference: what anything quicker has to be equal to."""

    def __init__(self, index: GeoIndex) -> None:
        self._index = index

    async def find(self, search: Search) -> Finding:
        """The best items for a question. Raises IndexUnavailableError."""
        may, left_out = eligible(search.wanted, search.now), search.left_out
        gathered = await gather(
            self._index,
            search.view.tenant_id,
            search.center,
            search.reach,
            (lambda item: item.posting not in left_out and may(item)) if left_out else may,
        )
        if isinstance(search.ranking, Listed):
            return _listed(search, search.ranking, gathered)
        hits = gathered.hits
        candidates = Candidates.of(hits, search.view.evidence.beliefs([hit.served.posting for hit in hits]))
        order, scores = _ordered(search, candidates)
        chosen = [hits[index] for index in order.tolist()]
        return _finding(search, gathered, chosen, scores[order].tolist(), len(hits))


def _listed(search: Search, ranking: Listed, gathered: Gathered) -> Finding:
    hits = gathered.hits
    begin = ranking.begin([hit.distance_m for hit in hits], lambda index: hits[index].served.item.item_id)
    page = hits[begin : begin + search.limit]
    return _finding(search, gathered, page, [-hit.distance_m for hit in page], len(hits) - begin)


def _ordered(search: Search, candidates: Candidates) -> tuple[Integers, Floats]:
    """Indices of the best items, best first, and every candidate's score."""
    ranking, postings = search.ranking, candidates.postings
    if not candidates.hits or isinstance(ranking, Listed):
        return np.empty(0, np.int64), np.empty(0)
    if isinstance(ranking, Shuffled):
        beliefs = candidates.beliefs
        means = mean_scores(beliefs.weights, beliefs.a, beliefs.b)
        pool = top_k(means, postings, ranking.pool)
        return pool[shuffle_order(ranking.seed, postings[pool])][: search.limit], means
    scores = search.view.orders[ranking.feed].scores(candidates, ranking.seed)
    return top_k(scores, postings, search.limit), scores


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
        lambda: search.view.evidence.beliefs([hit.served.posting for hit in chosen]),
    )


def _shown(hit: Hit) -> Shown:
    served = hit.served
    return Shown(served.posting, served.item.item_id, hit.distance_m, hit.place, served.market, served)
