"""What every peer of the benchmarks should find: all that may be shown within reach, nearest first."""

import numpy as np

from benchmarks.decision.world import NOW, RADIUS_M, WANTED_CATEGORIES, World
from nearcast_geo.distance import distances_m
from nearcast_geo.point import Point


def eligible_by_distance(world: World, point: Point) -> list[int]:
    """By looking at each."""
    records = world.records
    away = distances_m(point.lat, point.lon, records.lat, records.lon)
    may = (away <= RADIUS_M) & (records.expires_at > NOW) & (records.category < WANTED_CATEGORIES)
    rows = np.flatnonzero(may)
    return [int(posting) for posting in records.postings[rows[np.argsort(away[rows])]]]
