"""Every way in which near items are found, behind one question."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from nearcast_catalogue.item import ServedItem
from nearcast_compiling.native import WHY_NOT
from nearcast_geo.point import Point
from nearcast_replica.answering import Answerer
from nearcast_replica.query import Mode, Order, Query
from nearcast_replica.twin import Twin
from nearcast_store.connection import RedisConnection
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.index.protocol import GeoIndex
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.servedworlds import in_batches
from tests.unit.replica.worlds import NOW, World, world_of

TENANT = 1
MOST = 30_000
INDEXES = ("memory", "redis", "twin", *(() if WHY_NOT else ("kernel",)))


@dataclass(frozen=True, slots=True)
class Near:
    """One item that was found."""

    name: str
    distance_m: float
    place: int


class Index(Protocol):
    """Filled once with a world, then asked."""

    async def fill(self, items: Sequence[ServedItem]) -> None: ...

    async def near(self, center: Point, radius_m: float, most: int = MOST) -> list[Near]: ...


class Memory:
    def __init__(self) -> None:
        self._index = MemoryGeoIndex()

    async def fill(self, items: Sequence[ServedItem]) -> None:
        self._index = MemoryGeoIndex()
        for each in items:
            self._index.put(TENANT, each)

    async def near(self, center: Point, radius_m: float, most: int = MOST) -> list[Near]:
        return await _asked(self._index, center, radius_m, most)


class Redis:
    def __init__(self, connection: RedisConnection, writer: RedisIndexWriter) -> None:
        self._writer = writer
        self._index = RedisGeoIndex(connection)

    async def fill(self, items: Sequence[ServedItem]) -> None:
        await self._writer.refill(TENANT, 1, in_batches(items))

    async def near(self, center: Point, radius_m: float, most: int = MOST) -> list[Near]:
        return await _asked(self._index, center, radius_m, most)


class Replica:
    """A segment of the replica, asked as a gateway asks it."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._world: World | None = None

    async def fill(self, items: Sequence[ServedItem]) -> None:
        self._world = world_of(items)

    async def near(self, center: Point, radius_m: float, most: int = MOST) -> list[Near]:
        world = self._world
        assert world is not None
        query = Query(center, (radius_m,), 1, most, NOW, Order(Mode.LISTED), most)
        found = self._answerer.answer(world.segment, world.dictionaries, query)
        names = {int(each.posting): str(each.item.item_id) for each in world.served}
        rows = zip(found.postings.tolist(), found.distances_m.tolist(), found.places.tolist(), strict=True)
        return [Near(names[posting], distance_m, place) for posting, distance_m, place in rows]


@asynccontextmanager
async def open_index(name: str, redis_url: Callable[[], str]) -> AsyncIterator[Index]:
    """One of INDEXES, empty; Redis is asked for by the one that needs it."""
    if name == "redis":
        url = redis_url()
        connection = RedisConnection(url, command_timeout_s=20.0)
        async with open_client(url) as client:
            yield Redis(connection, RedisIndexWriter(client))
        await connection.close()
    elif name == "memory":
        yield Memory()
    elif name == "twin":
        yield Replica(Twin())
    else:
        from nearcast_replica.kernel import Kernel

        yield Replica(Kernel())


async def _asked(index: GeoIndex, center: Point, radius_m: float, most: int) -> list[Near]:
    found = await index.near(TENANT, center, radius_m, most)
    return [Near(str(hit.served.item.item_id), hit.distance_m, hit.place) for hit in found.hits]
