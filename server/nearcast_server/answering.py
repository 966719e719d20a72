"""The quick way to find: one pass of machine code over this host's replica of the index."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import overload

import numpy as np
from msgspec import structs

from nearcast_bandit.posterior import posterior
from nearcast_config.orders.ways import way_of
from nearcast_geo.area import Area
from nearcast_geo.widening import widen
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer
from nearcast_replica.columns import unpack_stats
from nearcast_replica.layout import Segment
from nearcast_replica.lookup import postings_of_ids
from nearcast_replica.query import Found, Integers, Mode, Order, Query
from nearcast_replica.reading import Pinned
from nearcast_server.arrangedrows import ArrangedRows
from nearcast_server.capturing import Capture
from nearcast_server.evidence import Beliefs, Evidence
from nearcast_server.finding import ByFeed, Finding, Listed, Ranking, Search, Shown, Shuffled
from nearcast_server.owners import Owners
from nearcast_server.priors import Priors
from nearcast_server.replicas import Replicas
from nearcast_store.policies.protocol import Revision

_MODES = {"draw": Mode.DRAW, "nearest": Mode.NEAREST, "newest": Mode.NEWEST, "most": Mode.MOST}
_MOST_RUNGS = 16
_MOST_ORDERS = 1000
_LISTED = Order(Mode.LISTED)
_NONE = np.empty(0, np.int64)
_Key = tuple[int, int, str, int, bool]


class Rows(Sequence[Shown]):
    """Items where they lie in a replica: none is read before somebody looks at one."""

    def __init__(self, pinned: Pinned, found: Found) -> None:
        self.pinned = pinned
        self.found = found

    def __len__(self) -> int:
        return len(self.found.slots)

    @overload
    def __getitem__(self, index: int) -> Shown: ...
    @overload
    def __getitem__(self, index: slice) -> list[Shown]: ...
    def __getitem__(self, index: int | slice) -> Shown | list[Shown]:
        return self._shown[index]

    @cached_property
    def _shown(self) -> list[Shown]:
        pinned, found = self.pinned, self.found
        return [
            Shown(posting, item_id, distance_m, place, market, message)
            for posting, (item_id, message), distance_m, place, market in zip(
                found.postings.tolist(),
                pinned.labels(found.slots),
                found.distances_m.tolist(),
                found.places.tolist(),
                pinned.markets(found.slots),
                strict=True,
            )
        ]


class ReplicaFinder:
    """Equal to asking the index, as far as the replica is equal to it. Never waits."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._orders: dict[_Key, tuple[Revision, Priors, Order]] = {}
        self._barred: dict[tuple[int, frozenset[str]], tuple[Segment, int, frozenset[int]]] = {}
        self._owners = Owners()

    def find(self, search: Search) -> Finding | None:
        """None for what no replica can be asked, or this one cannot yet: it may believe otherwise."""
        view = search.view
        # A list goes by distance alone.
        rules = None if isinstance(search.ranking, Listed) else view.evidence.rules
        answerer, pinned = self._replicas.answerer, self._replicas.pin(view.tenant_id, rules)
        if answerer is None or pinned is None or not isinstance(search.wanted.region, Area | None):
            return None
        order = self._order(search)
        if not {kind for kind, _ in order.weights}.issubset(pinned.segment.shape.kinds):
            return None
        new_until = 0 if search.plan is None else search.plan.new_until
        if new_until and IMPRESSION not in pinned.segment.shape.kinds:
            return None
        radii_m = _rungs(search)
        if len(radii_m) > _MOST_RUNGS:
            return None
        ranking = search.ranking
        is_deep = isinstance(ranking, Listed) and ranking.after[0] >= 0
        query = Query(
            search.center,
            radii_m,
            search.reach.enough,
            search.reach.most,
            search.now,
            order,
            search.reach.most if is_deep else search.limit,
            0 if isinstance(ranking, Listed) else ranking.seed,
            search.wanted,
            self._left_out(search, pinned),
            search.factors,
            search.capped,
            new_until,
        )
        if isinstance(ranking, Listed) or not (search.captured or search.plan):
            return _finding(search, pinned, answerer.answer(pinned.segment, pinned.dictionaries, query))
        evidence = search.view.evidence
        numbers, priors = evidence.numbers, evidence.priors
        capture = Capture(answerer, pinned.segment, pinned.dictionaries, numbers, priors)
        ask = capture.take if search.captured else capture.skip
        if search.plan is None:
            (found, pool), arrangement = ask(query), None
        else:
            rows = ArrangedRows(pinned, answerer, self._owners, search.plan, query, ask)
            found, pool, arrangement = rows.page()
        paused = _paused(answerer, pinned, query, found) if search.captured else 0
        finding = _finding(search, pinned, found)
        return structs.replace(
            finding, pool=pool, arrangement=arrangement, capped=paused, begun=capture.lines
        )

    def _order(self, search: Search) -> Order:
        """The same object for the same question, which need not be packed again."""
        ranking = search.ranking
        if isinstance(ranking, Listed):
            return _LISTED
        feed, pool = (ranking.feed, 0) if isinstance(ranking, ByFeed) else ("", ranking.pool)
        by_mean = isinstance(ranking, ByFeed) and ranking.by_mean
        revision, priors = search.view.revision, search.view.evidence.priors
        key = (revision.tenant_id, revision.number, feed, pool, by_mean)
        known = self._orders.get(key)
        if known is not None and known[0] is revision and known[1] is priors:
            return known[2]
        if len(self._orders) >= _MOST_ORDERS:
            self._orders.clear()
        order = order_of(ranking, revision, search.view.evidence)
        self._orders[key] = (revision, priors, order)
        return order

    def _left_out(self, search: Search, pinned: Pinned) -> Integers:
        left_out, also = search.left_out, search.wanted.also
        if search.wanted.exclude_item_ids:
            left_out = left_out.union(postings_of_ids(pinned.segment, search.wanted.exclude_item_ids))
        if also is not None and also.exclude_item_ids:
            left_out = left_out.union(self._barred_by(search.view.tenant_id, also.exclude_item_ids, pinned))
        return np.fromiter(left_out, np.int64, len(left_out)) if left_out else _NONE

    def _barred_by(self, tenant_id: int, item_ids: frozenset[str], pinned: Pinned) -> frozenset[int]:
        """A surface bars the same items every time: they are looked up again when something was added."""
        key, segment, slots = (tenant_id, item_ids), pinned.segment, pinned.segment.slots
        known = self._barred.get(key)
        if known is not None and known[0] is segment and known[1] == slots:
            return known[2]
        if len(self._barred) >= _MOST_ORDERS:
            self._barred.clear()
        postings = frozenset(postings_of_ids(segment, item_ids))
        self._barred[key] = (segment, slots, postings)
        return postings


def order_of(ranking: Ranking, revision: Revision, evidence: Evidence) -> Order:
    """What a feed goes by, in the numbers of the ledger."""
    policy = revision.policy
    weights = tuple(zip(evidence.numbers, evidence.weights, strict=True))
    priors = _priors(evidence)
    if isinstance(ranking, Shuffled):
        return Order(Mode.EXPLORE, weights, pool=ranking.pool, priors=priors)
    if isinstance(ranking, Listed):
        return _LISTED
    way = way_of(policy, ranking.feed, by_mean=ranking.by_mean)
    counted = tuple((revision.kinds[kind], weight) for kind, weight in way.weights)
    return Order(_MODES[way.by], counted, policy.exploration.sharpness, priors=priors)


def _priors(evidence: Evidence) -> Mapping[int, tuple[float, float]]:
    """What is believed of an item that nothing was told of."""
    none = np.zeros(1)
    found = {}
    for number, prior in zip(evidence.numbers, evidence.priors.otherwise, strict=True):
        a, b = posterior(prior, none, none)
        found[number] = (float(a[0]), float(b[0]))
    return found


def _rungs(search: Search) -> list[float]:
    reach = search.reach
    ladder = widen(reach.radius_m, reach.max_radius_m, reach.factors)
    return [radius_m for radius_m in ladder if radius_m >= reach.from_m] or [reach.from_m]


def _paused(answerer: Answerer, pinned: Pinned, query: Query, found: Found) -> int:
    """How many there would be beside what was found, if nothing paused."""
    if not query.capped.size:
        return 0
    asked = structs.replace(
        query, radii_m=(found.radius_used_m,), enough=1, order=_LISTED, limit=1, capped=_NONE
    )
    return max(answerer.answer(pinned.segment, pinned.dictionaries, asked).eligible - found.eligible, 0)


def _finding(search: Search, pinned: Pinned, found: Found) -> Finding:
    begin, page = 0, found
    if isinstance(search.ranking, Listed):
        begin, page = _page(search.ranking, search.limit, pinned, found)
    postings = page.postings.tolist()
    return Finding(
        Rows(pinned, page),
        postings,
        page.scores.tolist(),
        found.eligible - begin,
        found.radius_used_m,
        found.truncated,
        found.exhausted,
        lambda: _beliefs(search.view.evidence, pinned, postings, page.slots),
    )


def _page(ranking: Listed, limit: int, pinned: Pinned, found: Found) -> tuple[int, Found]:
    """Where the page begins, and what is on it."""
    begin = ranking.begin(found.distances_m, lambda index: pinned.item_id(int(found.slots[index])))
    kept = slice(begin, begin + limit)
    columns = ("slots", "postings", "distances_m", "places", "scores")
    return begin, structs.replace(found, **{name: getattr(found, name)[kept] for name in columns})


def _beliefs(evidence: Evidence, pinned: Pinned, postings: list[int], slots: Integers) -> Beliefs:
    """As the replica was told them, which is what the items were scored by."""
    beliefs = evidence.beliefs(postings, zip(pinned.markets(slots), pinned.categories(slots), strict=True))
    priors = _priors(evidence)
    a, b = beliefs.a.copy(), beliefs.b.copy()
    kinds, stats = pinned.segment.shape.kinds, pinned.segment["stats"]
    for row, number in enumerate(beliefs.numbers):
        if number not in kinds:
            continue
        told_a, told_b = unpack_stats(stats[kinds.index(number)][slots])
        is_told = (told_a != 0) | (told_b != 0)
        a[row] = np.where(is_told, told_a, priors[number][0])
        b[row] = np.where(is_told, told_b, priors[number][1])
    return replace(beliefs, a=a, b=b)
