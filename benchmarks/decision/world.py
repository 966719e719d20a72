"""A million items in cities of Zipf sizes, by seed, and places to ask from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from benchmarks.cities import METRES_PER_DEGREE, make_cities
from nearcast_catalogue.eligibility import Filter
from nearcast_geo.area import Area
from nearcast_geo.distance import distances_m
from nearcast_geo.point import Point
from nearcast_replica.columns import Records, build_segment, pack_stats
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.layout import Segment
from nearcast_replica.lookup import id_hash, owner_hash
from nearcast_replica.query import Mode, Order, Query

SEED = 20_260_101
NOW = 1_790_000_000.0
RADIUS_M = 5_000.0
MOST, LIMIT = 10_000, 20
CITIES = 300
CATEGORIES, WANTED_CATEGORIES, TAGS, OWNERS = 60, 54, 100, 20_000
KINDS = ((2, 1.0), (3, 4.0), (4, 20.0))
WANTED = Filter(
    categories=frozenset(f"category {number}" for number in range(WANTED_CATEGORIES)),
    tags_none=frozenset({"tag 7"}),
)
_JITTER_M = 150.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """The segment, and what it was made from."""

    segment: Segment
    dictionaries: Dictionaries
    records: Records
    a: NDArray[np.float64]
    b: NDArray[np.float64]


def make_world(count: int) -> World:
    """One in ten has expired; posteriors are those of log-normal trials with a median of 200."""
    rng = np.random.default_rng(SEED)
    lat, lon = make_cities(rng, CITIES).places(rng, count)
    dictionaries = Dictionaries(
        (f"category {number}" for number in range(CATEGORIES)),
        (f"tag {number}" for number in range(TAGS)),
        (0,),
    )
    records = _records(rng, lat, lon)
    segment = build_segment(records, tuple(kind for kind, _ in KINDS))
    a, b = _posteriors(rng, count)
    by_slot = np.searchsorted(records.postings, segment["posting"])
    segment["stats"][:] = pack_stats(a[:, by_slot], b[:, by_slot])
    return World(segment, dictionaries, records, a, b)


def _records(rng: np.random.Generator, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> Records:
    count = lat.size
    ids = [b"item-%09d" % number for number in range(count)]
    lengths = np.full(count, len(ids[0]))
    tag_counts = rng.integers(0, 4, count)
    ends = np.where(rng.random(count) < 0.1, NOW - 1_000.0, NOW + rng.uniform(1.0, 1e7, count))
    return Records(
        postings=np.arange(1, count + 1),
        versions=np.ones(count, np.int64),
        born_at=NOW - rng.uniform(0, 1e7, count),
        starts_at=np.full(count, -np.inf),
        expires_at=ends,
        reach_m=np.full(count, np.nan),
        category=rng.integers(0, CATEGORIES, count),
        market=np.zeros(count, np.int64),
        hours=np.zeros(count, np.int64),
        place_counts=np.ones(count, np.int64),
        lat=lat,
        lon=lon,
        tag_counts=tag_counts,
        tags=rng.integers(0, TAGS, int(tag_counts.sum())),
        area_counts=np.zeros(count, np.int64),
        areas=np.empty(0),
        id_lengths=lengths,
        cold_lengths=lengths,
        cold=np.frombuffer(b"".join(ids), np.uint8),
        id_hashes=np.array([id_hash(each) for each in ids], np.uint64),
        owners=np.resize(np.array([owner_hash(f"owner {n}") for n in range(OWNERS)], np.uint64), count),
    )


def _posteriors(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    trials = 200.0 * np.exp(rng.normal(0.0, 1.5, count))
    a, b = np.empty((len(KINDS), count)), np.empty((len(KINDS), count))
    for row, rate in enumerate((0.05, 0.02, 0.005)):
        successes = rng.poisson(trials * rate * rng.gamma(4.0, 0.25, count)).astype(np.float64)
        a[row], b[row] = 1.0 + successes, 1.0 / rate + np.maximum(trials - successes, 0.0)
    return a, b


def places_with(world: World, wanted: int, count: int) -> list[Point]:
    """Points close to each other from where about so many items can be shown, and all are looked at."""
    rng = np.random.default_rng(SEED + wanted)
    lat, lon = world.records.lat, world.records.lon
    rows = rng.choice(lat.size, 400, replace=False)
    shown = np.array([_shown(world, float(lat[row]), float(lon[row])) for row in rows])
    best = rows[np.argmin(np.abs(shown - wanted))]
    jitter = rng.uniform(-_JITTER_M, _JITTER_M, (count, 2)) / METRES_PER_DEGREE
    return [Point(float(lat[best] + north), float(lon[best] + east)) for north, east in jitter]


def _shown(world: World, lat: float, lon: float) -> int:
    records = world.records
    near = np.flatnonzero(np.abs(records.lat - lat) < 0.05)
    near = near[np.abs(records.lon[near] - lon) < 0.2]
    near = near[distances_m(lat, lon, records.lat[near], records.lon[near]) <= RADIUS_M]
    if near.size > MOST * 0.97:
        return -MOST
    alive = records.expires_at[near] > NOW
    return int(np.count_nonzero(alive & (records.category[near] < WANTED_CATEGORIES)))


def ring_around(points: Sequence[Point], corners: int) -> Area:
    """A winding border around the middle of these points, behind which nothing within the radius lies."""
    turns = np.arange(corners) * math.tau / corners
    away = RADIUS_M * (1.15 + 0.05 * np.sin(9.0 * turns)) / METRES_PER_DEGREE
    lat, lon = (float(np.mean([getattr(point, axis) for point in points])) for axis in ("lat", "lon"))
    lats = lat + away * np.sin(turns)
    lons = lon + away * np.cos(turns) / math.cos(math.radians(lat))
    return Area.of(Polygon(np.column_stack([lons, lats])))


def queries(
    points: Sequence[Point], kinds: int, left_out: NDArray[np.int64], region: Area | None = None
) -> list[Query]:
    """One decision at each point: filters, expiry and exclusions on."""
    order, wanted = Order(Mode.DRAW, KINDS[:kinds]), msgspec.structs.replace(WANTED, region=region)
    return [
        Query(point, (RADIUS_M,), 1, MOST, NOW, order, LIMIT, seed, wanted, left_out)
        for seed, point in enumerate(points)
    ]
