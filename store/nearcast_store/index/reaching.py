"""From where an item with an area of its own is found."""

from functools import lru_cache

from nearcast_catalogue.item import Item
from nearcast_geo.area import Area
from nearcast_geo.geojson import SMALL_LIMITS, AreaError, read_area
from nearcast_geo.point import Point

NEVER_M, ALWAYS_M = -1.0, float("inf")


@lru_cache(maxsize=20_000)
def reach_area(geometry: str) -> Area | None:
    """The area that an item's text came to; None for one that this version cannot read: nobody finds it."""
    try:
        return read_area(geometry, SMALL_LIMITS)
    except AreaError:
        return None


def limit_m(item: Item, center: Point, radius_m: float) -> float:
    """Up to which distance the item is found from there, its edge included."""
    if item.reach_area:
        area = reach_area(item.reach_area)
        return ALWAYS_M if area is not None and area.covers(center.lat, center.lon) else NEVER_M
    return radius_m if item.reach_m is None else item.reach_m
