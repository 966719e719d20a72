"""What became of items that somebody asks about, shown or not: for whoever misses one in an answer."""

import asyncio
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from nearcast_bandit.scoring import mean_scores
from nearcast_catalogue.eligibility import every_reason, within_reach
from nearcast_catalogue.item import Item, ServedItem
from nearcast_geo.distance import distance_m
from nearcast_geo.point import Point
from nearcast_server.evidence import Beliefs
from nearcast_server.finding import ByFeed, Search
from nearcast_server.orders import Candidates, steady
from nearcast_server.recommending import Slate
from nearcast_server.searching import subject_of
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_store.index.protocol import Hit

Standing = Literal["SHOWN", "NOT_CHOSEN", "LEFT_OUT", "NOT_FOUND"]
Cause = Literal[
    "NOT_STARTED",
    "EXPIRED",
    "CLOSED",
    "TAG",
    "CATEGORY",
    "EXCLUDED",
    "MARKET",
    "POLYGON",
    "OUT_OF_REACH",
    "SEEN",
    "SHOWN_BEFORE",
    "CAPPED",
    "LOWER_SCORE",
    "PLACES",
    "NOT_OF_THE_SHUFFLE",
    "NOT_AMONG_CANDIDATES",
    "LATER",
]
CAUSES: dict[str, Cause] = {
    "not_started": "NOT_STARTED",
    "expired": "EXPIRED",
    "closed": "CLOSED",
    "tag": "TAG",
    "category": "CATEGORY",
    "excluded": "EXCLUDED",
    "market": "MARKET",
    "polygon": "POLYGON",
}


class Appraisal(Struct, frozen=True, eq=False):
    """One item: how it fared, why, and what is believed of it, as the only column of `beliefs`."""

    item_id: str
    standing: Standing
    causes: Sequence[Cause] = ()
    hit: Hit | None = None
    score: float | None = None
    rank: int = 0
    beliefs: Beliefs | None = None


class Appraiser:
    """Looks items up where they are kept, not where they are found. Raises StoreUnavailableError."""

    def __init__(self, catalog: CatalogStore) -> None:
        self._catalog = catalog

    async def appraise(self, slate: Slate, item_ids: Sequence[str]) -> list[Appraisal]:
        """Each of these, in this order, as the slate saw it or would have."""
        tenant_id = slate.view.tenant_id
        stored = await asyncio.gather(*(self._catalog.get(tenant_id, item_id) for item_id in item_ids))
        return [
            Appraisal(item_id, "NOT_FOUND") if each is None else _appraised(slate, each.served)
            for item_id, each in zip(item_ids, stored, strict=True)
        ]


def _appraised(slate: Slate, served: ServedItem) -> Appraisal:
    hit = _hit(slate.search.center, served)
    beliefs = slate.view.evidence.beliefs([served.posting], [(served.market, served.item.category)])
    item_id = served.item.item_id
    if served.posting in slate.finding.postings:
        place = slate.finding.postings.index(served.posting)
        score, rank = slate.finding.scores[place], slate.decision.rank_offset + place + 1
        return Appraisal(item_id, "SHOWN", (), hit, score, rank, beliefs)
    score = _score(slate.search, hit, beliefs)
    causes = _left_out(slate, hit)
    if causes:
        return Appraisal(item_id, "LEFT_OUT", causes, hit, score, 0, beliefs)
    return Appraisal(item_id, "NOT_CHOSEN", (_outdone(slate, score),), hit, score, 0, beliefs)


def _left_out(slate: Slate, hit: Hit) -> tuple[Cause, ...]:
    """What kept it from being a candidate, all of it."""
    search, served = slate.search, hit.served
    causes = [CAUSES[reason] for reason in every_reason(search.wanted, search.now)(served)]
    if not within_reach(served.item, hit.distance_m, slate.radius_used_m):
        causes.append("OUT_OF_REACH")
    if served.posting in slate.decision.served:
        causes.append("SHOWN_BEFORE")
    elif served.posting in search.left_out:
        causes.append("SEEN")
    if served.posting in search.capped:
        causes.append("CAPPED")
    return tuple(causes)


def _outdone(slate: Slate, score: float) -> Cause:
    """Why a candidate was not chosen. One that had to be was none: the index has not heard of it, or it was
    beyond the most that one call looks at.
    """
    if not isinstance(slate.search.ranking, ByFeed):
        return "NOT_OF_THE_SHUFFLE"
    finding = slate.finding
    pairs = zip(finding.postings, finding.scores, strict=True)
    drawn = [shown for posting, shown in pairs if posting not in finding.pinned]
    if drawn and len(finding.postings) >= slate.search.limit and score <= min(drawn):
        return "LOWER_SCORE"
    return "NOT_AMONG_CANDIDATES" if slate.search.plan is None else "PLACES"


def _score(search: Search, hit: Hit, beliefs: Beliefs) -> float:
    """What it has, or would have had."""
    ranking, candidates = search.ranking, Candidates.of([hit], beliefs)
    factor = 1.0 if search.factors is None else search.factors.of(subject_of(hit))
    if not isinstance(ranking, ByFeed):
        return float(mean_scores(beliefs.weights, beliefs.a, beliefs.b)[0]) * factor
    order = search.view.orders[ranking.feed]
    order = steady(order) if ranking.by_mean else order
    return float(order.scores(candidates, ranking.seed)[0]) * factor


def _hit(center: Point, served: ServedItem) -> Hit:
    distances = _distances_m(center, served.item)
    place = min(range(len(distances)), key=distances.__getitem__)
    return Hit(served, distances[place], place)


def _distances_m(center: Point, item: Item) -> list[float]:
    return [distance_m(center, Point(place.latitude, place.longitude)) for place in item.places]
