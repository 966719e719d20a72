"""In which sets of the index an item's places are, and the commands that put them there or take them out."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from nearcast_catalogue.checking import MAX_PLACES
from nearcast_catalogue.item import ServedItem
from nearcast_geo.areacells import cells_of
from nearcast_geo.circle import is_polar
from nearcast_geo.geohash import clamp_for_redis
from nearcast_geo.point import Point
from nearcast_geo.reach import reach_bucket
from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.index.reaching import reach_area
from nearcast_store.index.serving import UnreadableItemError, pack, unpack

Commands = list[Command]
NameKey = Callable[[str], str]

_GEO_PARTS = [part for part in redis_keys.INDEX_PARTS if part not in {"items", "polar", "areas"}]


def putting(items: Iterable[ServedItem], key: NameKey) -> Commands:
    """Commands that add these items; a posting that is there already must have been taken out before."""
    packed: list[str | bytes | float] = []
    added: defaultdict[str, list[str | bytes | float]] = defaultdict(list)
    polar: list[str] = []
    cells: list[str | int] = []
    for served in items:
        packed += [served.posting, pack(served)]
        if served.item.reach_area:
            for member in _area_members(served):
                cells += [0, member]
            continue
        into = added[_geo_part(served)]
        for place, point in enumerate(_points(served)):
            member = redis_keys.member(served.posting, place)
            clamped = clamp_for_redis(point)
            into += [clamped.lon, clamped.lat, member]
            if is_polar(point):
                polar.append(member)
    commands: Commands = [("GEOADD", key(part), *members) for part, members in added.items()]
    if polar:
        commands.append(("SADD", key("polar"), *polar))
    if cells:
        commands.append(("ZADD", key("areas"), *cells))
    if packed:
        commands.append(("HSET", key("items"), *packed))
    return commands


def taking_out(held: Iterable[tuple[int, bytes | None]], key: NameKey) -> Commands:
    """Commands that remove postings, given what the index holds of each."""
    gone: defaultdict[str, list[str]] = defaultdict(list)
    postings: list[int] = []
    for posting, raw in held:
        if raw is None:
            continue
        postings.append(posting)
        for part, members in _held_members(posting, raw).items():
            gone[part] += members
    commands: Commands = [
        ("SREM" if part == "polar" else "ZREM", key(part), *members) for part, members in gone.items()
    ]
    if postings:
        commands.append(("HDEL", key("items"), *postings))
    return commands


def _held_members(posting: int, raw: bytes) -> dict[str, list[str]]:
    try:
        served = unpack(raw)
    except UnreadableItemError:
        # Where it was cannot be known any more: it is taken out of wherever it can be. What is left in cells
        # of areas is an orphan, which no answer shows.
        return dict.fromkeys([*_GEO_PARTS, "polar"], redis_keys.members(posting, MAX_PLACES))
    if served.item.reach_area:
        cells = _area_members(served)
        return {"areas": cells} if cells else {}
    members = redis_keys.members(posting, len(served.item.places))
    held = {_geo_part(served): members}
    polar = [member for member, point in zip(members, _points(served), strict=True) if is_polar(point)]
    return {**held, "polar": polar} if polar else held


def _geo_part(served: ServedItem) -> str:
    reach_m = served.item.reach_m
    return "geo" if reach_m is None else redis_keys.reach_part(reach_bucket(reach_m))


def _area_members(served: ServedItem) -> list[str]:
    area = reach_area(served.item.reach_area)
    return [] if area is None else [redis_keys.area_member(cell, served.posting) for cell in cells_of(area)]


def _points(served: ServedItem) -> list[Point]:
    return [Point(place.latitude, place.longitude) for place in served.item.places]
