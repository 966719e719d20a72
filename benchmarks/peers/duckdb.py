"""DuckDB, installed for this alone: a table in the order of places; blocks far away are skipped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.decision.world import LIMIT, NOW, RADIUS_M, WANTED_CATEGORIES, World
from benchmarks.peers.question import AT_RANDOM, HAVERSINE_M, NEAREST, Calls, box, columns
from nearcast_geo.point import Point

REQUIREMENT = "duckdb==2.0.0"
_FOUND = (
    f"select posting, {HAVERSINE_M} as distance from places"
    " where lat between ? and ? and lon between ? and ?"
    f" and ends_at > {NOW} and category < {WANTED_CATEGORIES}"
)
_ASKED = f"select posting from ({_FOUND}) where distance <= {RADIUS_M} order by"


class DuckDB:
    """In memory, in this process, with all of its threads."""

    name = "DuckDB"
    lacks = "does not learn, does not draw; made to read much at once, not one place often"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def fill(self, world: World) -> None:
        """All items; its index of places (R-tree) took twice as long as this order does."""
        self._connection.register("items", columns(world))
        self._connection.execute("create table places as from items")
        self._connection.unregister("items")

    def ways(self, points: Sequence[Point]) -> Mapping[str, Calls]:
        """The best 20 by distance and by chance."""
        orders = {NEAREST: "distance", AT_RANDOM: "random()"}
        return {
            what: [partial(self._ask, f"{_ASKED} {order} limit {LIMIT}", point) for point in points]
            for what, order in orders.items()
        }

    def _ask(self, query: str, point: Point) -> list[Any]:
        asked = (point.lat, point.lat, point.lon, *box(point, RADIUS_M))
        return [posting for (posting,) in self._connection.execute(query, asked).fetchall()]


@contextmanager
def open_duckdb(module: Any, world: World) -> Iterator[DuckDB]:
    """Filled; `module` is the package, which is no dependency."""
    connection = module.connect(":memory:")
    try:
        peer = DuckDB(connection)
        peer.fill(world)
        yield peer
    finally:
        connection.close()
