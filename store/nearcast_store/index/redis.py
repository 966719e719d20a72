"""The index as Redis holds it: members that a circle may hold, then their items, then exact distances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_catalogue.item import ServedItem
from nearcast_geo.areacells import cells_at
from nearcast_geo.circle import SearchPlan, is_polar, search_plan
from nearcast_geo.geohash import EDGE_MARGIN_M
from nearcast_geo.point import Point
from nearcast_geo.reach import BUCKETS, bucket_radius_m
from nearcast_store import redis_keys
from nearcast_store.connection import Command, RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.measuring import Measured, nearest_first
from nearcast_store.index.protocol import Found, Hit
from nearcast_store.index.reaching import limit_m
from nearcast_store.index.serving import UnpackedItems

_WIDER = 4


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked; `bound` is how many members Redis may answer of each geo set, the nearest to it."""

    tenant_id: int
    center: Point
    radius_m: float
    most: int
    bound: int | None


class RedisGeoIndex:
    """Two round trips per question. Members without a readable item are skipped and reported as orphans."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        most_unpacked: int = 100_000,
        note_orphans: Callable[[int], None] | None = None,
    ) -> None:
        self._connection = connection
        self._unpacked = UnpackedItems(most_unpacked)
        self._note_orphans = note_orphans

    async def near(self, tenant_id: int, center: Point, radius_m: float, most: int) -> Found:
        """Items near the centre; of more than `most` the nearest are kept and `truncated` is set."""
        # Members are not items, and Redis measures to cells: a few more than asked nearly always decide.
        bound = most + most // 8 + 16
        try:
            while True:
                # In a polar cap Redis is asked from elsewhere: what it finds first is not the nearest.
                query = _Query(tenant_id, center, radius_m, most, None if is_polar(center) else bound)
                found = await self._answer(query)
                if found is not None:
                    return found
                bound *= _WIDER
        except (RedisDownError, RedisReplyError) as error:
            raise IndexUnavailableError(f"the index does not answer: {error}") from error

    async def versions(self, tenant_id: int, postings: Sequence[int]) -> dict[int, int]:
        """Of the items that there are. Raises IndexUnavailableError."""
        try:
            items = await self._items(tenant_id, list(postings))
        except (RedisDownError, RedisReplyError) as error:
            raise IndexUnavailableError(f"the index does not answer: {error}") from error
        return {posting: served.version for posting, served in items.items()}

    async def _answer(self, query: _Query) -> Found | None:
        """None when a geo set that was cut short may hide one of the nearest."""
        searches, looks = _searches(query), _area_looks(query)
        replies: list[list[bytes]] = await self._connection.pipeline([*searches, *looks])
        near, areas = replies[: len(searches)], replies[len(searches) :]
        cut = [reply for reply in near if len(reply) == query.bound]
        postings = {redis_keys.posting_of(name) for reply in near for name in reply}
        postings.update(redis_keys.posting_in_area(name) for reply in areas for name in reply)
        items = await self._items(query.tenant_id, list(postings)) if postings else {}
        if not items:
            return None if cut else Found((), truncated=False)
        return _nearest(query, items, cut)

    async def _items(self, tenant_id: int, postings: list[int]) -> dict[int, ServedItem]:
        raws = await self._connection.execute("HMGET", redis_keys.items(tenant_id), *postings)
        items = {}
        for posting, raw in zip(postings, raws, strict=True):
            served = None if raw is None else self._unpacked.unpack(tenant_id, posting, raw)
            if served is not None:
                items[posting] = served
        orphans = len(postings) - len(items)
        if orphans and self._note_orphans is not None:
            self._note_orphans(orphans)
        return items


def _searches(query: _Query) -> list[Command]:
    """One search per set that may hold an answer; a set that does not exist costs next to nothing."""
    plans = [(redis_keys.geo(query.tenant_id), search_plan(query.center, query.radius_m))]
    plans += [
        (redis_keys.reach(query.tenant_id, bucket), search_plan(query.center, bucket_radius_m(bucket)))
        for bucket in BUCKETS
    ]
    commands = [_geosearch(key, plan, query.bound) for key, plan in plans if plan.needs_redis]
    if any(plan.needs_polar for _, plan in plans):
        commands.append(("SMEMBERS", redis_keys.polar(query.tenant_id)))
    return commands


def _area_looks(query: _Query) -> list[Command]:
    """One look per grid of cells, each for all whose area touches the cell of the centre."""
    key = redis_keys.areas(query.tenant_id)
    cells = cells_at(query.center.lat, query.center.lon)
    return [("ZRANGEBYLEX", key, *redis_keys.area_range(cell)) for cell in cells]


def _geosearch(key: str, plan: SearchPlan, bound: int | None) -> Command:
    center = plan.redis_center
    circle = ("FROMLONLAT", center.lon, center.lat, "BYRADIUS", plan.redis_radius_m, "m")
    count = () if bound is None else ("ASC", "COUNT", bound)
    return ("GEOSEARCH", key, *circle, *count)


def _nearest(query: _Query, items: dict[int, ServedItem], cut: Sequence[Sequence[bytes]]) -> Found | None:
    served = list(items.values())
    plain = [each.item for each in served]
    measured = Measured(query.center, plain)
    limits_m = [limit_m(item, query.center, query.radius_m) for item in plain]
    inside = measured.distances <= np.array(limits_m)
    if cut:
        inside &= measured.distances <= _horizon_m(cut, items, measured)
    order = nearest_first(np.flatnonzero(inside), measured.distances, plain)
    if cut and len(order) <= query.most:
        return None
    kept = order[: query.most]
    places = measured.nearest_places(kept)
    hits = list(map(Hit, [served[index] for index in kept], measured.distances[kept].tolist(), places))
    return Found(hits, truncated=len(order) > query.most)


def _horizon_m(cut: Sequence[Sequence[bytes]], items: dict[int, ServedItem], measured: Measured) -> float:
    """Up to where every item is known: the farthest that each set cut short has still answered."""
    index_of = {posting: index for index, posting in enumerate(items)}
    horizon_m = np.inf
    for names in cut:
        farthest_m = 0.0
        for posting, place in map(redis_keys.read_member, reversed(names)):
            # Redis holds a polar place elsewhere than it is, so its rank says nothing.
            if posting in index_of and not measured.is_polar(index_of[posting], place):
                farthest_m = measured.distance_m(index_of[posting], place) - EDGE_MARGIN_M
                break
        horizon_m = min(horizon_m, farthest_m)
    return horizon_m
