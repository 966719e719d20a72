"""Exact distances to items with one or several places, and their order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nearcast_catalogue.item import Item
from nearcast_geo.circle import POLAR_LATITUDE
from nearcast_geo.distance import Floats, distances_m
from nearcast_geo.point import Point


class Measured:
    """Each item's distance in metres at its nearest place; there is at least one item."""

    def __init__(self, center: Point, items: Sequence[Item]) -> None:
        counts = np.array([len(item.places) for item in items])
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts
        self._lats = np.array([place.latitude for item in items for place in item.places])
        lons = np.array([place.longitude for item in items for place in item.places])
        self._by_place = distances_m(center.lat, center.lon, self._lats, lons)
        self.distances: Floats = np.minimum.reduceat(self._by_place, self._starts)

    def nearest_places(self, items: Sequence[int]) -> list[int]:
        """Which place of each of these items is the nearest; of equals the first."""
        if len(self._by_place) == len(self._starts):
            return [0] * len(items)
        spans = [slice(self._starts[item], self._ends[item]) for item in items]
        return [int(np.argmin(self._by_place[span])) for span in spans]

    def distance_m(self, item: int, place: int) -> float:
        """Distance of one place; of the nearest if the item has lost that place meanwhile."""
        index = self._starts[item] + place
        return float(self._by_place[index] if index < self._ends[item] else self.distances[item])

    def is_polar(self, item: int, place: int) -> bool:
        """Whether that place is beyond 85 degrees."""
        index = self._starts[item] + place
        return bool(index < self._ends[item] and abs(self._lats[index]) > POLAR_LATITUDE)


def nearest_first(chosen: NDArray[np.int64], distances: Floats, items: Sequence[Item]) -> list[int]:
    """The chosen items by distance, equal distances by item id."""
    near = distances[chosen]
    by_distance = np.argsort(near, kind="stable")
    order: list[int] = chosen[by_distance].tolist()
    ordered = near[by_distance]
    if np.any(ordered[1:] == ordered[:-1]):
        order.sort(key=lambda item: (distances[item], items[item].item_id))
    return order
