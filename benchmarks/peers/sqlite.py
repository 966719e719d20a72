"""SQLite's R*Tree, which every Python has: a box by the index, the circle by haversine."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.decision.world import LIMIT, NOW, RADIUS_M, WANTED_CATEGORIES, World
from benchmarks.peers.question import AT_RANDOM, HAVERSINE_M, NEAREST, Calls, box, columns
from nearcast_geo.point import Point

_TABLE = (
    "create virtual table places using"
    " rtree(posting, south, north, west, east, +lat real, +lon real, +ends_at real, +category integer)"
)
_FOUND = (
    f"select posting, {HAVERSINE_M} as distance from places"
    " where south <= ? and north >= ? and west <= ? and east >= ?"
    f" and ends_at > {NOW} and category < {WANTED_CATEGORIES}"
)
_ASKED = f"select posting from ({_FOUND}) where distance <= {RADIUS_M} order by"


class RTree:
    """In memory, in this process: no socket on the way."""

    name = "SQLite R*Tree"
    lacks = "does not learn, does not draw; one process, no service"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fill(self, world: World) -> None:
        """All items."""
        rows = zip(*(column.tolist() for column in columns(world).values()), strict=True)
        self._connection.execute(_TABLE)
        self._connection.executemany(
            "insert into places values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((posting, lat, lat, lon, lon, lat, lon, ends, kind) for posting, lat, lon, ends, kind in rows),
        )

    def ways(self, points: Sequence[Point]) -> Mapping[str, Calls]:
        """The best 20 by distance and by chance."""
        orders = {NEAREST: "distance", AT_RANDOM: "random()"}
        return {
            what: [partial(self._ask, f"{_ASKED} {order} limit {LIMIT}", point) for point in points]
            for what, order in orders.items()
        }

    def _ask(self, query: str, point: Point) -> list[Any]:
        south, north, west, east = box(point, RADIUS_M)
        found = self._connection.execute(query, (point.lat, point.lat, point.lon, north, south, east, west))
        return [posting for (posting,) in found]


@contextmanager
def open_rtree(world: World) -> Iterator[RTree]:
    """Filled."""
    connection = sqlite3.connect(":memory:")
    try:
        peer = RTree(connection)
        peer.fill(world)
        yield peer
    finally:
        connection.close()
