"""A whole nearcast in one process without a wire: real rules, fold and sampler over memory, for simulation.

Time is told, never read: whoever drives it says how late it is, and everything between an event and the next
decision (the log, the fold, the epochs, the refresh) then happens in order, as it would across processes.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import count

from prometheus_client import CollectorRegistry

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId
from nearcast_config.masking import counts_items
from nearcast_config.policy import Policy
from nearcast_geo.point import normalise
from nearcast_ledger.event import Durability
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.asking import Area, RecommendQuery
from nearcast_server.cataloguing import Cataloguer, Entry
from nearcast_server.deciding import Decider
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.errors import RequestError
from nearcast_server.evidence import Beliefs
from nearcast_server.following import Regional
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender
from nearcast_server.recording import Recorder
from nearcast_server.refreshing import KEEPER, Refresher
from nearcast_server.searching import IndexFinder
from nearcast_server.tenancy import Tenancies
from nearcast_statskeeper.epochs import NO_ITEMS, is_due, next_epoch
from nearcast_statskeeper.folding import plan
from nearcast_statskeeper.jobs.curving import CurveFitter
from nearcast_statskeeper.jobs.fitting import Fitter
from nearcast_statskeeper.remembering import Notebook
from nearcast_statskeeper.roster import Roster, kinds_left_at
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.curves.memory import MemoryCurveStore
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.intake.judging import Report
from nearcast_store.log.memory import MemoryEventLog
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.priors.memory import MemoryPriorStore
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from nearcast_town.backend import Ask, BackendRefusedError, Slate, SlateItem, TownEvent, TownItem

# As often as simulated minutes: a real gateway looks twice a second, and a town's day has fewer events.
REFRESH_EVERY_S = 60.0
_MOST_RECORDS = 1_000_000


class InProcess:
    """A backend for a town; `open` it first."""

    def __init__(
        self,
        policy: Policy,
        start_s: float,
        seed: int,
        scenario: str = "",
        decision_log: DecisionLog | None = None,
    ) -> None:
        self._now_s = start_s
        self._scenario = scenario
        self._policy = policy
        self._random = _seeded(seed)
        clock = self._clock
        self._tenants = MemoryTenantStore(clock)
        self._feed = MemoryChangeFeed(clock)
        self._catalog = MemoryCatalogStore(self._feed)
        self._index = MemoryGeoIndex()
        self._counts = MemoryCountStore()
        self._policies = MemoryPolicyStore(clock, self._random)
        self._log = MemoryEventLog(clock)
        self._tenancies = tenancies = Tenancies()
        request_ids = RequestIds(lambda: int(self._now_s * 1000), self._random)
        self._cataloguer = Cataloguer(self._catalog, clock)
        seen = MemorySeenStore()
        self._recommender = Recommender(
            IndexFinder(self._index),
            tenancies,
            clock,
            Decider(request_ids, self._random),
            Recall(seen),
            decision_log,
        )
        self._recorder = Recorder(self._log, tenancies, clock, "in-process", Durability.MEMORY)
        priors, metrics = MemoryPriorStore(), Metrics(CollectorRegistry(), KEEPER_METRICS)
        curves = MemoryCurveStore()
        self._curver = CurveFitter(self._policies, self._counts, curves, metrics, clock, _nobody_else_leads)
        self._fitter = Fitter(
            Standpoint(self._policies, curves),
            self._counts,
            self._catalog,
            priors,
            metrics,
            clock,
            _nobody_else_leads,
        )
        roster = Roster(self._tenants, self._policies, clock)
        self._notebook = Notebook(seen, roster, metrics, clock)
        regional = Regional(priors=priors, owners=self._catalog, curves=curves)
        self._refresher = Refresher(
            tenancies, self._tenants, self._policies, self._counts, Noticeboard(), clock, regional
        )
        self._applied = 0
        self._served: dict[str, ServedItem] = {}
        self._refresh_at = start_s
        self._tenant_id = 0
        self._rewarding: set[int] = set()
        self._left_at: frozenset[int] = frozenset()

    def _clock(self) -> float:
        return self._now_s

    async def open(self) -> None:
        """Make the tenant and read everything once."""
        self._tenant_id = await self._tenants.ensure_tenant("simulation", "Simulation")
        revision = await self._policies.apply(self._tenant_id, self._policy, "simulation", "")
        self._rewarding = {
            revision.kinds[name] for name, kind in revision.policy.kinds.items() if kind.rewards_feed
        }
        self._left_at = kinds_left_at(revision)
        await self._keep()

    async def put_items(self, items: Sequence[TownItem]) -> None:
        """Create or replace; shown from the next question on."""
        for start in range(0, len(items), 500):
            entries = [Entry(item.item_id, _to_item(item)) for item in items[start : start + 500]]
            for result in await self._cataloguer.upsert(self._tenant_id, entries):
                if result.outcome.code != "OK":
                    raise BackendRefusedError(f"{result.entry_id}: {result.outcome.message}")
        await self._relay()

    async def remove_items(self, item_ids: Sequence[str]) -> None:
        """Stop showing these."""
        await self._cataloguer.delete(self._tenant_id, item_ids, allow_missing=True)
        await self._relay()

    async def recommend(self, ask: Ask) -> Slate:
        """One slate."""
        query = RecommendQuery(
            area=Area(ask.point, ask.radius_m, ask.limit, Filter()),
            person=Person(user_id=ask.person.person_id)
            if ask.person.registered
            else Person(anonymous_id=ask.person.person_id),
            session_id=ask.session,
            session_token="",
            scenario=self._scenario,
            page_token="",
            explain=False,
            canonical=b"",
        )
        try:
            slate = await self._recommender.recommend(self._tenant_id, query)
        except RequestError as error:
            raise BackendRefusedError(f"{error.reason}: {error}") from error
        return Slate(
            tuple(SlateItem(placed.shown.item_id, placed.rank, placed.token) for placed in slate.items),
            slate.decision.choice.feed,
            slate.decision.choice.propensity,
        )

    async def record(self, events: Sequence[TownEvent]) -> int:
        """Append events to the log; they are folded when time goes on."""
        recorded = await self._recorder.record(self._tenant_id, [_to_report(event) for event in events])
        return sum(judged.learned for judged in recorded.judged)

    def beliefs(self, item_ids: Sequence[str]) -> Beliefs:
        """What is believed of these items, in this order, as of the last refresh."""
        served = [self._served[item_id] for item_id in item_ids]
        places = [(each.market, each.item.category) for each in served]
        evidence = self._tenancies.view(self._tenant_id).evidence
        return evidence.beliefs([each.posting for each in served], places)

    async def advance(self, now_s: float) -> None:
        """Move the clock; keep and refresh when that is due."""
        self._now_s = now_s
        if now_s >= self._refresh_at:
            await self._keep()

    async def _keep(self) -> None:
        """What keeper and refresher do between two decisions."""
        records = await self._log.read([self._tenant_id], _MOST_RECORDS, 0)
        if records:
            batch = plan(records, self._rewards, (), self._leaves).batch
            await self._counts.fold(batch)
            self._notebook.note(batch.rows)
            await self._notebook.write()
            await self._log.acknowledge(records)
        await self._tenants.beat(KEEPER, self._now_s, self._now_s)
        revision = await self._policies.current(self._tenant_id)
        latest = await self._policies.latest_epoch(self._tenant_id)
        if is_due(latest, revision, self._now_s):
            feeds = await self._counts.feed_counts(self._tenant_id)
            items = NO_ITEMS
            if counts_items(revision.policy):
                items = await self._catalog.count_by_market(self._tenant_id)
            await self._policies.publish(next_epoch(latest, revision, feeds, self._now_s, items))
        await self._curver.fit(self._tenant_id)
        await self._fitter.fit(self._tenant_id)
        await self._refresher.refresh()
        self._refresh_at = self._now_s + REFRESH_EVERY_S

    async def _relay(self) -> None:
        await self._feed.sequence(_MOST_RECORDS)
        for change in await self._feed.after(self._tenant_id, self._applied, _MOST_RECORDS):
            if change.served is None:
                self._index.remove(self._tenant_id, change.posting)
            else:
                self._index.put(self._tenant_id, change.served)
                self._served[change.served.item.item_id] = change.served
            self._applied = change.sequence

    def _rewards(self, _tenant_id: int, _revision: int, kind: int) -> bool:
        return kind in self._rewarding

    def _leaves(self, _tenant_id: int, _revision: int) -> frozenset[int]:
        return self._left_at


async def _nobody_else_leads() -> bool:
    return True


def _to_item(item: TownItem) -> Item:
    point = normalise(item.point.lat, item.point.lon)
    return Item(
        item_id=ItemId(item.item_id),
        places=(Place(point.lat, point.lon),),
        reach_m=item.reach_m,
        tags=tuple(Tag(name) for name in item.tags),
        category=item.category,
        owner=item.owner,
        title=item.title,
    )


def _to_report(event: TownEvent) -> Report:
    return Report(
        kind=event.kind,
        reward_token=event.token,
        event_id="",
        item_id="",
        person=Person(),
        session_id="",
        occurred_at_us=None,
        value=None,
        properties=b"",
        size_bytes=300,
    )


def _seeded(seed: int) -> Callable[[int], bytes]:
    """A stream of bytes that repeats with its seed, where a server takes the system's."""
    calls = count()

    def random_bytes(size: int) -> bytes:
        drawn = b""
        while len(drawn) < size:
            drawn += blake2b(b"%d.%d" % (seed, next(calls))).digest()
        return drawn[:size]

    return random_bytes
