"""Random worlds for the replica, and the plain answer to compare with: every item looked at, one by one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from nearcast_bandit.factors import Boost, Factors, Subject
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k, weighted_scores
from nearcast_catalogue.eligibility import Filter, eligible
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_geo.area import Area
from nearcast_geo.distance import distance_m
from nearcast_geo.geojson import SMALL_LIMITS, AreaError, read_area
from nearcast_geo.point import Point, normalise
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.columns import Spare, build_segment, pack_stats, records_of, unpack_stats
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.growing import tail_chords
from nearcast_replica.layout import (
    COLUMNS,
    REPLACES,
    STATE_PLACE_POOL,
    STATE_ROWS,
    STATE_SLOTS,
    STATE_TAG_POOL,
    Scope,
    Segment,
)
from nearcast_replica.lookup import insert, slot_of_posting
from nearcast_replica.query import Mode, Order, Query
from tests.geojsons import polygon

KINDS = (2, 3, 5)
SCALES = st.sampled_from([0.01, 0.5, 1.7, 100.0])
TOLD = (*KINDS, IMPRESSION)
MOST_IMPRESSIONS = 200
NOW = 1_790_000_000.25
CATEGORIES = ("", "food", "jobs", "music")
TAGS = tuple(f"tag {number}" for number in range(80))
OWNERS = ("", "anna", "bert")
CENTERS = (
    Point(0.0, 0.0),
    Point(48.85, 2.35),
    Point(-33.9, -180.0),
    Point(10.0, 179.9999999),
    Point(89.99, 20.0),
    Point(-90.0, 0.0),
    Point(90.0, 0.0),
    Point(84.9, -179.99),
)
HOURS = (
    None,
    WeeklyHours("Europe/Paris", (OpeningInterval(0, 480, 1080),)),
    WeeklyHours("Asia/Tokyo", tuple(OpeningInterval(day, 0, 1440) for day in range(7))),
    WeeklyHours("UTC", ()),
)


@dataclass(frozen=True, slots=True)
class World:
    """Items, and their segment."""

    served: Sequence[ServedItem]
    dictionaries: Dictionaries
    segment: Segment


def world_of(served: Sequence[ServedItem], seed: int = 0, spare: Spare | None = None) -> World:
    """A segment of these items with random statistics."""
    dictionaries = Dictionaries()
    for tag in TAGS:
        dictionaries.tags.number(tag)
    spare = spare or Spare()
    segment = build_segment(records_of(served, dictionaries), TOLD, spare)
    segment["state"][STATE_TAG_POOL] = segment.shape.tag_pool - spare.tags
    segment["state"][STATE_PLACE_POOL] = segment.shape.place_pool - spare.places
    for slot in range(segment.slots):
        fill_stats(segment, slot, seed)
    return World(served, dictionaries, segment)


def fill_stats(segment: Segment, slot: int, seed: int = 0) -> None:
    """Statistics that go with the posting, not with the slot."""
    generator = np.random.default_rng([seed, int(segment["posting"][slot])])
    a = 10.0 ** generator.uniform(-3, 3, len(KINDS))
    segment["stats"][: len(KINDS), slot] = pack_stats(a, a * 10.0 ** generator.uniform(-1, 3, len(KINDS)))
    segment["stats"][TOLD.index(IMPRESSION), slot] = generator.integers(MOST_IMPRESSIONS)


def appended(world: World, served: ServedItem) -> None:
    """Put an item into the tail as a writer does, and then let the slot die that it replaces."""
    segment, state = world.segment, world.segment["state"]
    one = build_segment(records_of([served], world.dictionaries), TOLD)
    slot, row, rows = segment.slots, segment.rows, one.rows
    old = slot_of_posting(segment, served.posting)
    for column in COLUMNS:
        if column.scope is Scope.SLOT:
            segment[column.name][slot] = one[column.name][0]
        elif column.scope is Scope.ROW:
            segment[column.name][row : row + rows] = one[column.name][:rows]
    _append_pools(segment, one, slot)
    segment["row_slot"][row : row + rows] = slot
    tail = row - segment.shape.sorted_rows
    segment["tail_chord2"][tail : tail + rows] = tail_chords(one["reach_m"][one["row_slot"][:rows]])
    segment["cold_offset"][slot] = world.segment.cold.size  # ids of the tail are looked up by posting only
    if old is not None:
        segment["flags"][slot] |= REPLACES
    fill_stats(segment, slot)
    insert(segment["posting_table"], int(served.posting), slot)
    state[STATE_SLOTS], state[STATE_ROWS] = slot + 1, row + rows


def _append_pools(segment: Segment, one: Segment, slot: int) -> None:
    for pool, ref, word in (
        ("tag_pool", "tag_ref", STATE_TAG_POOL),
        ("place_pool", "place_ref", STATE_PLACE_POOL),
    ):
        used, more = int(segment["state"][word]), one[pool][1:]
        segment[pool][used : used + more.size] = more
        if one[ref][0]:
            segment[ref][slot] = used + int(one[ref][0]) - 1
        segment["state"][word] = used + more.size


def beside(center: Point, north_m: float, east_m: float) -> Place:
    """A place near a point, over a pole or the antimeridian if need be."""
    lat = center.lat + north_m / 111_226.0
    squeeze = max(math.cos(math.radians(center.lat)), 1e-4)
    lon = center.lon + east_m / 111_226.0 / squeeze
    if abs(lat) > 90.0:
        lat, lon = math.copysign(180.0, lat) - lat, lon + 180.0
    point = normalise(lat, (lon + 180.0) % 360.0 - 180.0)
    return Place(point.lat, point.lon)


def ring(center: Point, generator: np.random.Generator, size_m: float) -> list[tuple[float, float]]:
    """Corners around a point, longitude first; a pole may lie within, and the antimeridian."""
    count = int(generator.integers(3, 9))
    angles = (np.arange(count) + generator.uniform(0.0, 0.8, count)) * math.tau / count
    sizes = size_m * generator.uniform(0.3, 1.0, count)
    metres = np.column_stack([sizes * np.sin(angles), sizes * np.cos(angles)]).tolist()
    places = [beside(center, north, east) for north, east in metres]
    return [(place.longitude, place.latitude) for place in places]


def some_area(center: Point, seed: int) -> str:
    """A polygon beside a point, with a hole in it where there is room, or nothing where that is none."""
    generator = np.random.default_rng(seed)
    size_m = float(10.0 ** generator.uniform(2.0, 6.0))
    middle = beside(center, *generator.uniform(-size_m, size_m, 2).tolist())
    heart = Point(middle.latitude, middle.longitude)
    shell = ring(heart, generator, size_m)
    for rings in ([shell, ring(heart, generator, size_m / 8.0)], [shell]):
        text = polygon(*rings)
        try:
            area_of(text)
        except AreaError:
            continue
        return text
    return ""


@lru_cache(maxsize=10_000)
def area_of(text: str) -> Area:
    """What the text comes to."""
    return read_area(text, SMALL_LIMITS)


def areas(center: Point) -> st.SearchStrategy[Area]:
    """Areas about the centre."""
    texts = st.integers(0, 2**32).map(lambda seed: some_area(center, seed)).filter(bool)
    return texts.map(area_of)


def items(center: Point) -> st.SearchStrategy[ServedItem]:
    """Items around a point, some at the very same place, some far away."""
    metres = st.one_of(st.sampled_from([0.0, 1000.0, 5000.0]), st.floats(-30_000, 30_000))
    places = st.one_of(
        st.builds(lambda n, e: beside(center, n, e), metres, metres),
        st.builds(lambda lat, lon: Place(lat + 0.0, lon + 0.0), st.floats(-90, 90), st.floats(-180, 179.999)),
    )
    around_now = st.one_of(st.none(), st.sampled_from([NOW, NOW - 0.25, NOW + 0.5, NOW - 1e5, NOW + 1e5]))
    tags = st.lists(st.sampled_from(TAGS), max_size=4, unique=True)
    return st.builds(
        lambda where, reach, area, tags, category, owner, starts, expires, hours, market, born: ServedItem(
            Posting(0),
            1,
            born,
            Item(
                ItemId(""),
                tuple(where),
                None if area else reach,
                tuple(Tag(name) for name in tags),
                category,
                owner,
                starts_at=starts,
                expires_at=expires,
                hours=hours,
                reach_area=area,
            ),
            market,
        ),
        st.lists(places, min_size=1, max_size=4),
        st.one_of(st.none(), st.none(), st.sampled_from([500.0, 3000.0, 20_000.0, 500_000.0])),
        st.one_of(st.just(""), st.just(""), st.integers(0, 2**32).map(lambda seed: some_area(center, seed))),
        tags,
        st.sampled_from(CATEGORIES),
        st.sampled_from(OWNERS),
        around_now,
        around_now,
        st.sampled_from(HOURS),
        st.integers(0, 2),
        st.sampled_from([1.0, 2.5, NOW]),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Point, World]:
    """A world and the point that it lies around."""
    center = draw(st.sampled_from(CENTERS))
    drawn = draw(st.lists(items(center), max_size=40))
    served = [named(each, number) for number, each in enumerate(drawn)]
    return center, world_of(served)


def named(served: ServedItem, number: int) -> ServedItem:
    """The item with an id and a posting of its own; ids are not in the order of postings."""
    item = served.item
    return ServedItem(
        Posting(1 + number * 7919),
        served.version,
        served.born_at,
        Item(
            ItemId(f"common beginning {(number * 37) % 101}"),
            item.places,
            item.reach_m,
            item.tags,
            item.category,
            item.owner,
            starts_at=item.starts_at,
            expires_at=item.expires_at,
            hours=item.hours,
            reach_area=item.reach_area,
        ),
        served.market,
    )


def filters(center: Point) -> st.SearchStrategy[Filter]:
    """What a query, and the surface it comes from, ask for."""
    names = st.frozensets(st.sampled_from((*TAGS[:70], "unheard of")), max_size=2)
    some_categories = st.frozensets(st.sampled_from((*CATEGORIES, "unheard of")), max_size=3)
    surface = st.builds(
        Filter,
        tags_any=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(TAGS), max_size=40)),
        tags_none=names,
        categories=some_categories,
        categories_none=some_categories,
    )
    return st.one_of(
        st.just(Filter()),
        st.builds(
            Filter,
            also=st.one_of(st.none(), surface),
            tags_any=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(TAGS), max_size=40)),
            tags_all=st.one_of(st.just(frozenset()), names),
            tags_none=names,
            categories=some_categories,
            market=st.one_of(st.none(), st.integers(0, 3)),
        ),
        st.builds(Filter, region=areas(center)),
    )


def orders() -> st.SearchStrategy[Order]:
    """Every way to order."""
    return st.one_of(
        st.builds(Order, st.just(Mode.DRAW), weights(), st.sampled_from([0.25, 1.0, 2.0])),
        st.builds(Order, st.sampled_from([Mode.NEAREST, Mode.LISTED, Mode.NEWEST])),
        st.builds(Order, st.just(Mode.MOST), st.sampled_from([[(3, 1.0)], [(5, 1.0)], [(2, 1.0), (5, 4.0)]])),
        st.builds(Order, st.just(Mode.EXPLORE), st.just([(2, 1.0), (3, 4.0)]), pool=st.integers(1, 30)),
    )


def queries(center: Point) -> st.SearchStrategy[Query]:
    """Questions from about the centre."""
    return st.builds(
        lambda where, radius, wider, enough, most, order, limit, seed, wanted, left, factors, capped, until: (
            Query(
                Point(where.latitude, where.longitude),
                tuple(radius * factor for factor in (1.0, *wider)),
                enough,
                most,
                NOW,
                order,
                limit,
                seed,
                wanted,
                np.array([1 + number * 7919 for number in left], np.int64),
                factors,
                np.array(sorted(1 + number * 7919 for number in capped), np.int64),
                until,
            )
        ),
        st.one_of(
            st.just(Place(center.lat, center.lon)),
            st.builds(lambda n: beside(center, n, n), st.floats(-9e3, 9e3)),
        ),
        st.sampled_from([1.0, 999.0, 1001.0, 5001.0, 20_000.0, 60_000.0]),
        st.sampled_from([(), (2.0,), (2.0, 4.0, 10.0)]),
        st.integers(1, 12),
        st.sampled_from([1, 3, 8, 100]),
        orders(),
        st.integers(1, 40),
        st.integers(0, 2**64 - 1),
        filters(center),
        st.lists(st.integers(0, 45), max_size=8),
        st.one_of(st.none(), factors_of_surfaces()),
        st.one_of(st.just(frozenset()), st.frozensets(st.integers(0, 45), max_size=20)),
        st.one_of(st.just(0), st.integers(0, MOST_IMPRESSIONS + 1)),
    )


def factors_of_surfaces() -> st.SearchStrategy[Factors]:
    """Boosts of what there is and of what nobody has, by distance, and of what was seen."""
    boosts = st.one_of(
        st.builds(Boost, st.just("category"), st.sampled_from(("food", "jobs", "unheard of")), SCALES),
        st.builds(Boost, st.just("tag"), st.sampled_from((*TAGS, "unheard of")), SCALES),
        st.builds(Boost, st.just("owner"), st.sampled_from((*OWNERS[1:], "unheard of")), SCALES),
    )
    return st.builds(
        Factors,
        st.lists(boosts, max_size=12, unique_by=lambda boost: (boost.rule, boost.name)).map(tuple),
        st.sampled_from([0.0, 10.0, 3000.0]),
        st.sampled_from([0.25, 0.5]),
        st.frozensets(st.integers(0, 45).map(lambda number: 1 + number * 7919), max_size=12),
    )


def weights() -> st.SearchStrategy[list[tuple[int, float]]]:
    return st.sampled_from([[(2, 1.0)], [(2, 1.0), (3, 4.0), (5, 20.0)], [(3, 0.0), (5, 2.0)], []])


@dataclass(frozen=True, slots=True)
class Plain:
    """What is to be answered."""

    postings: list[int]
    distances_m: list[float]
    places: list[int]
    scores: list[float]
    eligible: int
    radius_used_m: float
    truncated: bool
    exhausted: bool
    newcomers: int


def brute_force(world: World, query: Query) -> Plain:
    """The rules, written down as plainly as they are said."""
    measured = [(*nearest_place(query.center, each), each) for each in world.served]
    may = eligible(query.wanted, query.now)
    left_out = {*query.left_out.tolist(), *query.capped.tolist()}
    for rung, radius_m in enumerate(query.radii_m):
        near = [
            (away, place, each)
            for away, place, each in measured
            if away <= limit_m(each.item, query.center, radius_m)
        ]
        near.sort(key=lambda one: (one[0], one[2].item.item_id))
        truncated = len(near) > query.most
        hits = [
            (away, place, each)
            for away, place, each in near[: query.most]
            if may(each) and each.posting not in left_out
        ]
        exhausted = truncated or rung == len(query.radii_m) - 1
        if len(hits) >= query.enough or exhausted:
            break
    order, scores, newcomers = _ordered(world, query, hits)
    best = [hits[index] for index in order]
    return Plain(
        [each.posting for _, _, each in best],
        [away for away, _, _ in best],
        [place for _, place, _ in best],
        [scores[index] for index in order],
        len(hits),
        radius_m,
        truncated,
        exhausted,
        newcomers,
    )


def limit_m(item: Item, center: Point, radius_m: float) -> float:
    """Up to where an item is found from the centre."""
    if item.reach_area:
        return math.inf if area_of(item.reach_area).covers(center.lat, center.lon) else -1.0
    return radius_m if item.reach_m is None else item.reach_m


def nearest_place(center: Point, served: ServedItem) -> tuple[float, int]:
    return min(
        (distance_m(center, Point(place.latitude, place.longitude)), number)
        for number, place in enumerate(served.item.places)
    )


def _ordered(
    world: World, query: Query, hits: list[tuple[float, int, ServedItem]]
) -> tuple[list[int], list[float], int]:
    postings = np.array([each.posting for _, _, each in hits], np.int64)
    mode = query.order.mode
    if mode is Mode.LISTED:
        return list(range(min(query.limit, len(hits)))), [-away for away, _, _ in hits], 0
    if mode is Mode.NEAREST:
        scores = np.array([-away for away, _, _ in hits])
    elif mode is Mode.NEWEST:
        scores = np.array([each.born_at for _, _, each in hits])
    else:
        scores = _believed(world, query, postings)
        if query.factors is not None:
            scores = scores * [query.factors.of(subject_of(each, away)) for away, _, each in hits]
    if mode is Mode.EXPLORE:
        pool = top_k(scores, postings, query.order.pool)
        chosen = pool[shuffle_order(query.seed, postings[pool])][: query.limit]
    elif query.new_until:
        is_new = np.array([impressions(world, each) < query.new_until for each in postings.tolist()], bool)
        fresh, known = np.flatnonzero(is_new), np.flatnonzero(~is_new)
        fresh = fresh[top_k(scores[fresh], postings[fresh], query.limit)]
        known = known[top_k(scores[known], postings[known], query.limit)]
        return [*fresh.tolist(), *known.tolist()], scores.tolist(), fresh.size
    else:
        chosen = top_k(scores, postings, query.limit)
    return chosen.tolist(), scores.tolist(), 0


def impressions(world: World, posting: int) -> int:
    """How often the item was shown."""
    slot = slot_of_posting(world.segment, posting)
    assert slot is not None
    return int(world.segment["stats"][TOLD.index(IMPRESSION), slot])


def subject_of(served: ServedItem, away_m: float) -> Subject:
    """What of an item factors go by."""
    item = served.item
    tags = frozenset(tag.name for tag in item.tags)
    return Subject(served.posting, item.category, tags, item.owner, away_m)


def _believed(world: World, query: Query, postings):
    weights = [each for each in query.order.weights if each[1] > 0]
    if not weights:
        return np.zeros(postings.size)
    slots = [slot_of_posting(world.segment, posting) for posting in postings.tolist()]
    rows = [KINDS.index(kind) for kind, _ in weights]
    a, b = unpack_stats(world.segment["stats"][rows][:, np.array(slots, np.int64)])
    if query.order.mode is not Mode.DRAW:
        return mean_scores([weight for _, weight in weights], a, b)
    kinds, shares = [kind for kind, _ in weights], [weight for _, weight in weights]
    return weighted_scores(query.seed, postings, kinds, shares, a, b, query.order.sharpness)
