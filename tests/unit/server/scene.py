"""A small town for the gateway's rules: items near one point, a policy, and what is believed of the items."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import msgspec

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_config.policy import Exploration, Policy, Radius, Scenario
from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_geo.point import Point
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.asking import Area, NearbyQuery, RecommendQuery
from nearcast_server.deciding import Decider
from nearcast_server.evidence import Learner
from nearcast_server.listing import Lister
from nearcast_server.orders import orders_of
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender, Slate
from nearcast_server.searching import IndexFinder
from nearcast_server.surfaces import surfaces_of
from nearcast_server.tenancy import Tenancies, Tokens, View
from nearcast_store.counting.protocol import CountRow
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.policies.protocol import Epoch, Revision
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.tenants.protocol import Beat

NOW = 1_790_000_000.0
HOUR = int(NOW // 3600)
TENANT = 1
CENTER = Point(59.91, 10.75)
METRES_PER_DEGREE = EARTH_RADIUS_M * math.pi / 180
KEYRING = Keyring((SigningKey(7, b"k" * 32),))
NO_EXPLORATION = Exploration(share=0.0)


def make_policy(**changed: object) -> Policy:
    """The default policy without exploration, and what the test wants otherwise."""
    policy = msgspec.structs.replace(Policy(), exploration=NO_EXPLORATION)
    return msgspec.structs.replace(policy, **changed)


def only_feed(name: str, **changed: object) -> Policy:
    """A policy whose sessions all get this feed."""
    return make_policy(scenarios={"default": Scenario(feeds=(name,))}, **changed)


def make_revision(policy: Policy | None = None, number: int = 1, tenant_id: int = TENANT) -> Revision:
    policy = policy or make_policy()
    kinds = dict(BUILT_IN_KIND_NUMBERS)
    for kind in policy.kinds:
        kinds.setdefault(kind, len(kinds) + 1)
    feeds = {name: place for place, name in enumerate(policy.feeds, 1)} | {"explore": 99}
    scenarios = {name: place for place, name in enumerate(policy.scenarios, 1)}
    return Revision(tenant_id, number, policy, kinds, feeds, scenarios)


def make_view(
    policy: Policy | None = None,
    *,
    tenant_id: int = TENANT,
    counts: Iterable[CountRow] = (),
    epochs: Sequence[Epoch] = (),
    keyring: Keyring = KEYRING,
    now: float = NOW,
) -> View:
    """What the gateway knows of a tenant when all is well."""
    revision = make_revision(policy, tenant_id=tenant_id)
    learner = Learner()
    learner.follow(revision, now)
    learner.learn(counts)
    return View(
        tenant_id=tenant_id,
        revision=revision,
        orders=orders_of(revision.policy),
        tokens=Tokens.of(keyring),
        epochs={epoch.number: epoch for epoch in epochs},
        latest_epoch=epochs[-1] if epochs else None,
        evidence=learner.evidence(now),
        read_at=now,
        beat=Beat(now, now),
        store_answers=True,
        surfaces=surfaces_of(revision.policy.scenarios),
    )


def make_epoch(view: View, number: int, shares: Sequence[float], published_at: float = NOW) -> Epoch:
    """Published probabilities for all feeds of the view's policy, in the policy's order."""
    feeds = view.revision.feeds
    names = list(view.revision.policy.feeds)
    by_number = {feeds[name]: share for name, share in zip(names, shares, strict=True)}
    return Epoch(view.tenant_id, number, 1, {0: {tuple(sorted(by_number)): by_number}}, published_at)


def with_epochs(view: View, *epochs: Epoch) -> View:
    return replace(view, epochs={epoch.number: epoch for epoch in epochs}, latest_epoch=epochs[-1])


def make_served(posting: int, distance_m: float = 100.0, item_id: str = "", **item: object) -> ServedItem:
    """An item so many metres north of the centre."""
    place = Place(CENTER.lat + distance_m / METRES_PER_DEGREE, CENTER.lon)
    made = Item(ItemId(item_id or f"item-{posting:04}"), (place,), title=f"Item {posting}")
    return ServedItem(Posting(posting), 1, NOW - posting, msgspec.structs.replace(made, **item))


def make_count(
    posting: int, kind: int, count: int, *, position: int = 1, bucket: int = HOUR - 48
) -> CountRow:
    return CountRow(posting, 0, kind, bucket, position, 1, False, count)


def make_area(
    *, limit: int = 0, radius_m: float | None = None, asks: Filter | None = None, center: Point = CENTER
) -> Area:
    return Area(center, radius_m, limit, asks or Filter())


def make_query(area: Area | None = None, **changed: object) -> RecommendQuery:
    query = RecommendQuery(
        area=area or make_area(),
        person=Person(),
        session_id="",
        session_token="",
        scenario="",
        page_token="",
        explain=False,
        canonical=b"query",
    )
    return msgspec.structs.replace(query, **changed)


def make_nearby(area: Area | None = None, page_token: str = "", canonical: bytes = b"query") -> NearbyQuery:
    return NearbyQuery(area or make_area(), page_token, canonical)


@dataclass
class Scene:
    """The rules over memory adapters, with a clock and a generator of its own."""

    view: View
    now: float = NOW
    index: MemoryGeoIndex = field(default_factory=MemoryGeoIndex)
    random: Random = field(default_factory=lambda: Random(20))
    tenancies: Tenancies = field(default_factory=Tenancies)
    seen: MemorySeenStore = field(default_factory=MemorySeenStore)

    def __post_init__(self) -> None:
        self.tenancies.publish(self.view)
        self.request_ids = RequestIds(lambda: int(self.now * 1000), self.random.randbytes)
        finder = IndexFinder(self.index)
        self.recommender = Recommender(
            finder,
            self.tenancies,
            lambda: self.now,
            Decider(self.request_ids, self.random.randbytes),
            Recall(self.seen),
        )
        self.lister = Lister(finder, self.tenancies, lambda: self.now)

    def show(self, view: View) -> None:
        """Replace the tenant's view, as the refresher does."""
        self.view = view
        self.tenancies.publish(view)

    def put(self, *served: ServedItem) -> None:
        for one in served:
            self.index.put(self.view.tenant_id, one)

    async def ask(self, query: RecommendQuery | None = None) -> Slate:
        return await self.recommender.recommend(self.view.tenant_id, query or make_query())


def town(
    size: int, view: View | None = None, distance_of: Callable[[int], float] = lambda posting: 10.0 * posting
) -> Scene:
    """`size` items, the first nearest."""
    scene = Scene(view or make_view())
    scene.put(*(make_served(posting, distance_of(posting)) for posting in range(1, size + 1)))
    return scene


def ids_of(slate: Slate) -> list[str]:
    return [placed.shown.item_id for placed in slate.items]


def tagged(*names: str) -> tuple[Tag, ...]:
    return tuple(Tag(name) for name in names)


def wide(max_m: float = 100_000.0, factors: tuple[float, ...] = (2.0, 4.0, 10.0)) -> Radius:
    return Radius(max_m=max_m, widen_factors=factors)
