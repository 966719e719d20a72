"""Postgres with earthdistance: a box by a GiST index, the circle by the chord, over a unix socket."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg

from benchmarks.decision.world import LIMIT, NOW, RADIUS_M, WANTED_CATEGORIES, World
from benchmarks.peers.question import AT_RANDOM, NEAREST, Calls, columns
from nearcast_geo.point import Point

# A plan for this very point: the general one may read the whole table.
_SETTINGS = {"plan_cache_mode": "force_custom_plan"}
_MAKE = (
    "create extension cube",
    "create extension earthdistance",
    "create unlogged table raw (posting bigint, lat float8, lon float8, ends_at float8, category smallint)",
)
_INDEX = (
    "create unlogged table places as select *, ll_to_earth(lat, lon) as spot from raw",
    "drop table raw",
    "set maintenance_work_mem = '256MB'",
    "create index on places using gist (spot)",
    "vacuum analyze places",
)
_ASKED = (
    "select posting from places where earth_box(ll_to_earth($1, $2), $3) @> spot"
    " and (spot <-> ll_to_earth($1, $2)) <= gc_to_sec($3)"
    f" and ends_at > {NOW} and category < {WANTED_CATEGORIES} order by"
)
# Through the earth, which orders alike and is what the index knows; earth_distance itself takes longer.
_BY_DISTANCE = "spot <-> ll_to_earth($1, $2)"


class Earthdistance:
    """One connection, statements prepared beforehand."""

    name = "Postgres earthdistance"
    lacks = "does not learn, does not draw"

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Any) -> None:
        self._loop = loop
        self._connection = connection

    def ways(self, points: Sequence[Point]) -> Mapping[str, Calls]:
        """The best 20 by distance and by chance."""
        orders = {NEAREST: _BY_DISTANCE, AT_RANDOM: "random()"}
        return {
            what: self._calls(f"{_ASKED} {order} limit {LIMIT}", points) for what, order in orders.items()
        }

    def _calls(self, query: str, points: Sequence[Point]) -> Calls:
        statement = self._loop.run_until_complete(self._connection.prepare(query))
        return [partial(self._ask, statement, point) for point in points]

    def _ask(self, statement: Any, point: Point) -> list[Any]:
        rows = self._loop.run_until_complete(statement.fetch(point.lat, point.lon, RADIUS_M))
        return [posting for (posting,) in rows]


async def fill(dsn: str, world: World) -> None:
    """All items, then the index, most of a minute for a million; not logged: only reading is compared."""
    connection = await asyncpg.connect(dsn)
    try:
        for command in _MAKE:
            await connection.execute(command)
        rows = zip(*(column.tolist() for column in columns(world).values()), strict=True)
        await connection.copy_records_to_table("raw", records=rows)
        for command in _INDEX:
            await connection.execute(command)
    finally:
        await connection.close()


@contextmanager
def open_earthdistance(dsn: str) -> Iterator[Earthdistance]:
    """What was filled."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        connection = loop.run_until_complete(asyncpg.connect(dsn, server_settings=_SETTINGS))
        try:
            yield Earthdistance(loop, connection)
        finally:
            loop.run_until_complete(connection.close())
