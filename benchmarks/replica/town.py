"""Items that are born, move, change and expire around a few cities, and random questions about them."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_config.policy import Policy
from nearcast_geo.geojson import SMALL_LIMITS, AreaError, read_area
from nearcast_geo.point import Point, normalise
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_server.evidence import Evidence
from nearcast_server.finding import ByFeed, Listed, Ranking, Search
from nearcast_server.gathering import Reach
from nearcast_server.orders import orders_of
from nearcast_server.priors import configured_priors
from nearcast_server.tenancy import Tokens, View
from nearcast_store.changes.protocol import Change
from nearcast_store.policies.protocol import Revision

TENANT = 1
CITIES = (
    Point(59.91, 10.75),
    Point(-33.87, 151.21),
    Point(0.0, -180.0),
    Point(84.99, 20.0),
    Point(89.95, -70.0),
    Point(-89.99, 10.0),
    Point(-17.7, 179.98),
)
TAGS = tuple(f"tag {number}" for number in range(12))
CATEGORIES = ("", "food", "jobs", "music")
HOURS = tuple(
    WeeklyHours(zone, tuple(OpeningInterval(day, 60 * begin, 60 * begin + 480) for day in range(7)))
    for zone, begin in (("Europe/Oslo", 8), ("Asia/Tokyo", 14), ("UTC", 0))
)
_METRES = 111_195.0


class Churn:
    """What the catalogue tells the index, in order; as many are born as end."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._living: dict[int, ServedItem] = {}
        self._order: list[int] = []
        self._last_posting = self._begun_with = 0
        self.sequence = 0
        self.made: Counter[str] = Counter()

    def born(self, count: int) -> list[ServedItem]:
        """New items, without changes to tell: what an index begins with."""
        self._begun_with += count
        return [self._one(self._new(), 1) for _ in range(count)]

    def next(self, count: int) -> list[Change]:
        """So many changes."""
        return [self._change() for _ in range(count)]

    def _change(self) -> Change:
        self.sequence += 1
        if len(self._order) < self._begun_with:
            self.made["born"] += 1
            served = self._one(self._new(), 1)
            return Change(self.sequence, int(served.posting), served)
        picked = int(self._rng.integers(len(self._order)))
        known = self._living[self._order[picked]]
        expires_at = known.item.expires_at
        if self._rng.random() < 0.15 or (expires_at is not None and expires_at < time.time()):
            self.made["ended"] += 1
            return Change(self.sequence, self._end(picked), None)
        self.made["moved or changed"] += 1
        served = self._one(int(known.posting), known.version + 1)
        return Change(self.sequence, int(served.posting), served)

    def _end(self, picked: int) -> int:
        posting, self._order[picked] = self._order[picked], self._order[-1]
        self._order.pop()
        del self._living[posting]
        return posting

    def _new(self) -> int:
        self._last_posting += 1
        self._order.append(self._last_posting)
        return self._last_posting

    def _one(self, posting: int, version: int) -> ServedItem:
        rng, now = self._rng, time.time()
        city = CITIES[int(rng.integers(len(CITIES)))]
        places = tuple(_beside(city, *rng.normal(0, 4000, 2)) for _ in range(1 + int(rng.integers(8) == 0)))
        area = _some_area(rng, city) if rng.random() < 0.1 else ""
        item = Item(
            ItemId(f"item-{posting}"),
            places,
            reach_m=float(rng.uniform(50, 30_000)) if not area and rng.random() < 0.15 else None,
            reach_area=area,
            tags=tuple(Tag(TAGS[number]) for number in set(rng.integers(0, len(TAGS), 3).tolist())),
            category=CATEGORIES[int(rng.integers(len(CATEGORIES)))],
            starts_at=now + float(rng.uniform(-60, 60)) if rng.random() < 0.2 else None,
            expires_at=now + float(rng.uniform(1, 60)) if rng.random() < 0.4 else None,
            hours=HOURS[int(rng.integers(len(HOURS)))] if rng.random() < 0.3 else None,
        )
        served = ServedItem(Posting(posting), version, now, item, int(rng.integers(4)))
        self._living[posting] = served
        return served


def make_view() -> View:
    """A tenant with the default policy, of whose items nothing is known."""
    policy = Policy()
    revision = Revision(TENANT, 1, policy, {}, {}, {})
    kinds = tuple(policy.kinds)
    none = np.zeros((len(kinds), 1))
    evidence = Evidence(
        kinds,
        tuple(range(2, 2 + len(kinds))),
        tuple(kind.weight for kind in policy.kinds.values()),
        configured_priors(policy),
        {},
        none,
        none,
        np.zeros(1, np.int64),
    )
    orders = orders_of(policy)
    tokens = Tokens.of(Keyring((SigningKey(1, b"b" * 32),)))
    return View(TENANT, revision, orders, tokens, {}, None, evidence, 0.0, None, store_answers=True)


def searches(view: View, seed: int) -> Iterator[Search]:
    """Questions without end, as `Recommend` and `Nearby` ask them: near the cities, with any filter."""
    rng = np.random.default_rng(seed)
    while True:
        city = CITIES[int(rng.integers(len(CITIES)))]
        place = _beside(city, *rng.normal(0, 3000, 2))
        radius_m = float(10 ** rng.uniform(2, 4.3))
        enough = int(rng.integers(1, 60))
        most = int(rng.choice([100, 1000, 5000]))
        ranking: Ranking
        if rng.random() < 0.3:
            reach, ranking = Reach(radius_m, radius_m, radius_m, (), 0, most), Listed()
        else:
            reach = Reach(radius_m, radius_m, 50_000.0, (2.0, 4.0, 10.0), enough, most)
            ranking = ByFeed("draw", 1)
        center = Point(place.latitude, place.longitude)
        left_out = frozenset(rng.integers(1, 5000, 20).tolist()) if rng.random() < 0.2 else frozenset()
        yield Search(view, center, reach, _filter(rng, city), ranking, enough, time.time(), left_out)


def _filter(rng: np.random.Generator, city: Point) -> Filter:
    def some(names: tuple[str, ...], share: float) -> frozenset[str]:
        picked = rng.integers(0, len(names), 2).tolist()
        return frozenset(names[number] for number in picked) if rng.random() < share else frozenset()

    excluded = frozenset(f"item-{number}" for number in rng.integers(1, 5000, 5).tolist())
    return Filter(
        tags_any=some(TAGS, 0.2),
        tags_all=some(TAGS, 0.1),
        tags_none=some(TAGS, 0.2),
        categories=some(CATEGORIES, 0.2),
        exclude_item_ids=excluded if rng.random() < 0.2 else frozenset(),
        market=int(rng.integers(4)) if rng.random() < 0.1 else None,
        region=read_area(_some_area(rng, city), SMALL_LIMITS) if rng.random() < 0.1 else None,
    )


def _some_area(rng: np.random.Generator, city: Point) -> str:
    """A triangle around a place near the city."""
    north, east = rng.normal(0, 2000, 2).tolist()
    size_m = float(10.0 ** rng.uniform(2.5, 4.5))
    turns = math.tau / 3.0 * (np.arange(3) + rng.uniform(0.0, 0.5, 3))
    corners = [
        _beside(city, north + size_m * math.sin(turn), east + size_m * math.cos(turn)) for turn in turns
    ]
    ring = [[corner.longitude, corner.latitude] for corner in (*corners, corners[0])]
    text = json.dumps({"type": "Polygon", "coordinates": [ring]})
    try:
        read_area(text, SMALL_LIMITS)
    except AreaError:
        return _some_area(rng, city)
    return text


def _beside(city: Point, north_m: float, east_m: float) -> Place:
    lat = min(max(city.lat + float(north_m) / _METRES, -90.0), 90.0)
    wider = max(float(np.cos(np.radians(lat))), 1e-3)
    lon = (city.lon + float(east_m) / _METRES / wider + 180.0) % 360.0 - 180.0
    point = normalise(lat, lon)
    return Place(point.lat, point.lon)
