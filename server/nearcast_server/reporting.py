"""The rule behind GetStats: exact counts from the ledger, posteriors as Recommend derives them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nearcast_bandit.hierarchy import LevelPrior
from nearcast_catalogue.checking import check_id
from nearcast_ledger.kinds import IMPRESSION, positions_of
from nearcast_server.errors import InvalidRequestError
from nearcast_server.evidence import Beliefs, Learner
from nearcast_server.feedreports import EVERYBODY, FeedReport, FeedsReport, Part, feeds_report, part_of
from nearcast_server.priors import Place
from nearcast_server.standings import FeedStanding
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_store.counting.protocol import CountRow, CountStore
from nearcast_store.served.protocol import ServedStore

MOST_ITEMS = 500
DEFAULT_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind of event of one item; impressions have no posterior."""

    kind: str
    count: int
    exposure: float = 0.0
    success: float = 0.0
    a: float = 0.0
    b: float = 0.0
    prior: LevelPrior | None = None
    fit: int = 0

    @property
    def rate(self) -> float:
        """The rate the item is believed to have."""
        return self.a / (self.a + self.b) if self.a else 0.0


@dataclass(frozen=True, slots=True)
class PositionReport:
    """How often an item was served at the positions from the first to the last."""

    first: int
    last: int
    served: int


@dataclass(frozen=True, slots=True)
class ItemReport:
    """One item."""

    item_id: str
    posting: int
    title: str
    kinds: Sequence[KindReport]
    served: int = 0
    positions: Sequence[PositionReport] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What has been learned, as of `read_at`."""

    items: Sequence[ItemReport]
    feeds: Sequence[FeedReport]
    standing: FeedStanding
    totals: Sequence[KindReport]
    revision: int
    epoch: int
    read_at: float


class Reporter:
    """Reads statistics."""

    def __init__(
        self,
        counts: CountStore,
        catalog: CatalogStore,
        served: ServedStore,
        tenancies: Tenancies,
        clock: Callable[[], float],
    ) -> None:
        self._counts = counts
        self._served = served
        self._catalog = catalog
        self._tenancies = tenancies
        self._clock = clock

    async def report(
        self,
        tenant_id: int,
        item_ids: Sequence[str],
        page_size: int,
        *,
        positions: bool = False,
        market: str = "",
        segment: str = "",
    ) -> Report:
        """Of these items, or of those with the most impressions; and of every feed, there and for them."""
        view, now = self._tenancies.view(tenant_id), self._clock()
        part = part_of(view, market, segment)
        named = await self._named(tenant_id, item_ids, page_size)
        postings = [posting for posting, _, _ in named]
        rows = await self._counts.counts_of(tenant_id, postings)
        served = await self._served.served_of(tenant_id, postings)
        totals = await self._counts.totals(tenant_id)
        names = {IMPRESSION: "impression"} | {view.revision.kinds[k]: k for k in view.revision.policy.kinds}
        served_at = await self._served.served_at(tenant_id, postings) if positions else {}
        places = defaultdict(list)
        for (posting, bucket), count in served_at.items():
            places[posting].append(PositionReport(*positions_of(bucket), count))
        told = await self._feeds(view, now, part)
        return Report(
            [
                replace(item, served=served.get(item.posting, 0), positions=places[item.posting])
                for item in _items(view, named, rows, await self._places(view, postings), now)
            ],
            told.feeds,
            told.standing,
            [KindReport(name, totals.get(number, 0)) for number, name in names.items()],
            *view.mark,
            now,
        )

    async def items(self, view: View, postings: Sequence[int]) -> list[ItemReport]:
        """Of postings: exact counts as they are now, posteriors as Recommend has them under this view."""
        named = await self._catalog.names(view.tenant_id, postings)
        counts = Counter(await self._counts.sums_of(view.tenant_id, postings))
        served = await self._served.served_of(view.tenant_id, postings)
        beliefs = view.evidence.beliefs(postings, await self._places(view, postings))
        return [
            ItemReport(
                item_id, posting, title, _kinds(posting, counts, beliefs, column), served.get(posting, 0)
            )
            for column, posting in enumerate(postings)
            if posting in named
            for item_id, title in (named[posting],)
        ]

    async def feeds(self, view: View) -> FeedsReport:
        """Of every feed, under this view."""
        return await self._feeds(view, self._clock())

    async def postings(self, tenant_id: int, item_ids: Sequence[str]) -> list[int]:
        """Of the current lives of these items, sorted; those that do not exist are left out."""
        return sorted((await self._catalog.current_postings(tenant_id, item_ids)).values())

    async def _named(
        self, tenant_id: int, item_ids: Sequence[str], page_size: int
    ) -> list[tuple[int, str, str]]:
        """Posting, item id and title, in the order asked for."""
        if item_ids:
            check_ids(item_ids)
            current = await self._catalog.current_postings(tenant_id, item_ids)
            postings = [current[item_id] for item_id in dict.fromkeys(item_ids) if item_id in current]
        else:
            if page_size < 0:
                raise InvalidRequestError.of(
                    "page_size", "PAGE_SIZE_OUT_OF_RANGE", f"must not be negative, got {page_size}"
                )
            postings = await self._counts.top_postings(
                tenant_id, min(page_size or DEFAULT_PAGE_SIZE, MOST_ITEMS)
            )
        names = await self._catalog.names(tenant_id, postings)
        return [(posting, *names[posting]) for posting in postings if posting in names]

    async def _places(self, view: View, postings: Sequence[int]) -> list[Place] | None:
        """Asked for only where priors differ from place to place."""
        if not view.evidence.priors.named:
            return None
        regions = await self._catalog.regions(view.tenant_id, postings)
        return [regions.get(posting, (0, "")) for posting in postings]

    async def _feeds(self, view: View, now: float, part: Part = EVERYBODY) -> FeedsReport:
        counts = await self._counts.feed_counts(view.tenant_id)
        return await asyncio.to_thread(feeds_report, view, counts, part, now)


def check_ids(item_ids: Sequence[str]) -> None:
    """Raise InvalidRequestError for the first that can be no id, and for more of them than are allowed."""
    if len(item_ids) > MOST_ITEMS:
        raise InvalidRequestError.of(
            "item_ids", "LIST_TOO_LONG", f"must hold at most {MOST_ITEMS} entries, got {len(item_ids)}"
        )
    for place, item_id in enumerate(item_ids):
        problems = check_id(f"item_ids[{place}]", item_id)
        if problems:
            raise InvalidRequestError(problems)


def _items(
    view: View,
    named: Sequence[tuple[int, str, str]],
    rows: Sequence[CountRow],
    places: Sequence[Place] | None,
    now: float,
) -> list[ItemReport]:
    learner = Learner()
    learner.follow(view.revision, now, view.evidence.exposing)
    learner.learn(rows)
    evidence = replace(learner.evidence(now), priors=view.evidence.priors)
    beliefs = evidence.beliefs([posting for posting, _, _ in named], places)
    counts: Counter[tuple[int, int]] = Counter()
    for row in rows:
        counts[row.posting, row.kind] += row.count
    return [
        ItemReport(item_id, posting, title, _kinds(posting, counts, beliefs, column))
        for column, (posting, item_id, title) in enumerate(named)
    ]


def _kinds(posting: int, counts: Counter[tuple[int, int]], beliefs: Beliefs, column: int) -> list[KindReport]:
    reports = [KindReport("impression", counts[posting, IMPRESSION])]
    for row, (name, number) in enumerate(zip(beliefs.kinds, beliefs.numbers, strict=True)):
        e, s, a, b = (
            float(matrix[row, column])
            for matrix in (beliefs.exposures, beliefs.successes, beliefs.a, beliefs.b)
        )
        prior = beliefs.prior(row, column)
        reports.append(KindReport(name, counts[posting, number], e, s, a, b, prior, beliefs.priors.fit))
    return reports
