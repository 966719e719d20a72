"""The rule behind GetStats: exact counts from the ledger, posteriors as Recommend derives them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nearcast_bandit.posterior import Prior
from nearcast_bandit.trials import trial_posterior
from nearcast_catalogue.checking import check_id
from nearcast_ledger.kinds import IMPRESSION, positions_of
from nearcast_server.choosing import ALL_MARKETS, eligible_feeds
from nearcast_server.errors import InvalidRequestError
from nearcast_server.evidence import SECONDS_PER_HOUR, Beliefs, Learner
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
class FeedReport:
    """One feed."""

    feed: str
    trials: int
    rewards: int
    probability: float
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Report:
    """What has been learned, as of `read_at`."""

    items: Sequence[ItemReport]
    feeds: Sequence[FeedReport]
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
        self, tenant_id: int, item_ids: Sequence[str], page_size: int, *, positions: bool = False
    ) -> Report:
        """Of these items, or of those with the most impressions; and of every feed."""
        view, now = self._tenancies.view(tenant_id), self._clock()
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
        return Report(
            [
                replace(item, served=served.get(item.posting, 0), positions=places[item.posting])
                for item in _items(view, named, rows, now)
            ],
            await self._feeds(view, now),
            [KindReport(name, totals.get(number, 0)) for number, name in names.items()],
            *view.mark,
            now,
        )

    async def items(self, view: View, postings: Sequence[int]) -> list[ItemReport]:
        """Of postings: exact counts as they are now, posteriors as Recommend has them under this view."""
        named = await self._catalog.names(view.tenant_id, postings)
        counts = Counter(await self._counts.sums_of(view.tenant_id, postings))
        served = await self._served.served_of(view.tenant_id, postings)
        beliefs = view.evidence.beliefs(postings)
        return [
            ItemReport(
                item_id, posting, title, _kinds(posting, counts, beliefs, column), served.get(posting, 0)
            )
            for column, posting in enumerate(postings)
            if posting in named
            for item_id, title in (named[posting],)
        ]

    async def feeds(self, view: View) -> list[FeedReport]:
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

    async def _feeds(self, view: View, now: float) -> list[FeedReport]:
        policy, hours = view.revision.policy, defaultdict(list)
        for row in await self._counts.feed_counts(view.tenant_id):
            hours[row.feed].append((row.bucket, row.trials, row.rewards))
        prior = Prior(policy.master.prior_mean, policy.master.prior_strength)
        shares = _shares(view)
        reports = []
        for name in policy.feeds:
            number = view.revision.feeds[name]
            a, b = trial_posterior(hours[number], prior, policy.master.half_life_days, now / SECONDS_PER_HOUR)
            trials, rewards = sum(h[1] for h in hours[number]), sum(h[2] for h in hours[number])
            reports.append(FeedReport(name, trials, rewards, shares.get(number, 0.0), a, b))
        return reports


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


def _shares(view: View) -> dict[int, float]:
    """What share of sessions each feed is given now."""
    revision, epoch = view.revision, view.latest_epoch
    if epoch is None:
        return {}
    feeds = eligible_feeds(revision, revision.policy.scenarios["default"])
    numbers = tuple(sorted(revision.feeds[name] for name in feeds))
    return dict(epoch.shares.get(ALL_MARKETS, {}).get(numbers, {}))


def _items(
    view: View, named: Sequence[tuple[int, str, str]], rows: Sequence[CountRow], now: float
) -> list[ItemReport]:
    learner = Learner()
    learner.follow(view.revision, now)
    learner.learn(rows)
    beliefs = learner.evidence(now).beliefs([posting for posting, _, _ in named])
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
        reports.append(KindReport(name, counts[posting, number], e, s, a, b))
    return reports
