"""Items near points for tests of the index, and what brute force says of them."""

import math
import random
from collections.abc import AsyncIterator, Iterable, Sequence

from nearcast_catalogue.item import Item, Place, ServedItem
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_geo.distance import distance_m
from nearcast_geo.point import Point, normalise
from nearcast_store.index.protocol import Found

Seen = list[tuple[str, int]]


def served(
    posting: int,
    *places: tuple[float, float],
    reach_m: float | None = None,
    item_id: str | None = None,
    reach_area: str = "",
) -> ServedItem:
    """An item at these (latitude, longitude) pairs."""
    item = Item(
        item_id=ItemId(item_id or f"item-{posting}"),
        places=tuple(Place(lat, lon) for lat, lon in places),
        reach_m=reach_m,
        title=f"Item {posting}",
        reach_area=reach_area,
    )
    return ServedItem(posting=Posting(posting), version=1, born_at=1_790_000_000.0, item=item)


def in_batches(items: Sequence[ServedItem], size: int = 500) -> AsyncIterator[list[ServedItem]]:
    async def batches() -> AsyncIterator[list[ServedItem]]:
        for start in range(0, len(items), size):
            yield list(items[start : start + size])

    return batches()


def seen(found: Found) -> Seen:
    """Who was found at which place, in order."""
    return [(hit.served.item.item_id, hit.place) for hit in found.hits]


def brute_force(items: Iterable[ServedItem], center: Point, radius_m: float) -> list[tuple[float, str, int]]:
    """Distance, item id and nearest place of everyone within reach, nearest first."""
    near = []
    for each in items:
        distances = [distance_m(center, Point(place.latitude, place.longitude)) for place in each.item.places]
        nearest_m = min(distances)
        limit_m = radius_m if each.item.reach_m is None else each.item.reach_m
        if nearest_m <= limit_m:
            near.append((nearest_m, str(each.item.item_id), distances.index(nearest_m)))
    return sorted(near)


def random_point(rng: random.Random, heart: Point, spread_m: float) -> Point:
    """Around the heart, over pole and antimeridian if they are near; now and then an awkward spot."""
    awkward = [(heart.lat, 180.0), (heart.lat, -180.0), (90.0, 0.0), (-90.0, 10.0), (85.05112878, heart.lon)]
    if rng.random() < 0.02:
        return normalise(*rng.choice(awkward))
    spread = spread_m / 111_000.0
    lat, lon = heart.lat + rng.gauss(0.0, spread), heart.lon + rng.gauss(0.0, spread)
    if abs(heart.lat) > 80.0:
        lon = rng.uniform(-180.0, 180.0)
    return normalise(max(-90.0, min(90.0, lat)), (lon + 180.0) % 360.0 - 180.0)


def random_world(rng: random.Random, heart: Point, spread_m: float, count: int) -> list[ServedItem]:
    """Items of one to three places, a third of them with a reach of their own."""
    items = []
    for posting in range(1, count + 1):
        points = [random_point(rng, heart, spread_m) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        reach_m = 10 ** rng.uniform(2.0, 5.69) if rng.random() < 0.33 else None
        items.append(served(posting, *[(point.lat, point.lon) for point in points], reach_m=reach_m))
    return items


def random_crowd(rng: random.Random, heart: Point, spread_m: float, count: int) -> list[ServedItem]:
    """Items of one place each, close together in metres at any latitude, one in ten with its own reach."""
    east = 1.0 / max(math.cos(math.radians(heart.lat)), 0.01)
    items = []
    for posting in range(1, count + 1):
        lat = heart.lat + rng.gauss(0.0, spread_m) / 111_000.0
        lon = heart.lon + rng.gauss(0.0, spread_m) / 111_000.0 * east
        point = normalise(max(-90.0, min(90.0, lat)), lon)
        reach_m = rng.uniform(0.1, 2.0) * spread_m if rng.random() < 0.1 else None
        items.append(served(posting, (point.lat, point.lon), reach_m=reach_m))
    return items
