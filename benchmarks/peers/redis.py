"""Redis over a bare socket: GEOSEARCH alone, and as the plain way to decide."""

import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import hiredis
import numpy as np

from benchmarks.decision.world import LIMIT, NOW, RADIUS_M, WANTED_CATEGORIES, World
from nearcast_geo.point import Point

_KEY = b"bench:geo"
_BATCH = 2_000
_PACKED = np.dtype([("expires", "<f8"), ("category", "<u4"), ("a", "<f4", 3), ("b", "<f4", 3)])
_WEIGHTS = np.array([1.0, 4.0, 20.0])


def _packed(command: tuple[Any, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)
    return packed


class Redis:
    """One connection, one command at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(parts.path)
        else:
            self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        if parts.password:
            self.call(_packed(("AUTH", parts.username or "default", parts.password)))

    def call(self, command: bytes) -> Any:
        """The reply to a packed command."""
        self._socket.sendall(command)
        return self._reply()

    def all(self, commands: Iterable[bytes]) -> None:
        """Send many and wait for all."""
        count = 0
        for count, command in enumerate(commands, start=1):
            self._socket.sendall(command)
            if count % 50 == 0:
                for _ in range(50):
                    self._reply()
        for _ in range(count % 50):
            self._reply()

    def _reply(self) -> Any:
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 20))
        if isinstance(reply, Exception):
            raise reply
        return reply


def load(redis: Redis, world: World) -> None:
    """The same items, and their packed statistics by posting."""
    records = world.records
    packed = np.zeros(records.postings.size, _PACKED)
    packed["expires"], packed["category"] = records.expires_at, records.category
    packed["a"], packed["b"] = world.a.T, world.b.T
    redis.all(_geoadds(world))
    redis.all(_msets(packed))


def _geoadds(world: World) -> Iterable[bytes]:
    lat, lon = world.records.lat, world.records.lon
    for begin in range(0, lat.size, _BATCH):
        parts: list[Any] = ["GEOADD", _KEY]
        for row in range(begin, min(begin + _BATCH, lat.size)):
            parts += (repr(float(lon[row])), repr(float(lat[row])), str(row))
        yield _packed(tuple(parts))


def _msets(packed: Any) -> Iterable[bytes]:
    for begin in range(0, packed.size, _BATCH):
        parts: list[Any] = ["MSET"]
        for row in range(begin, min(begin + _BATCH, packed.size)):
            parts += (f"s{row}", packed[row].tobytes())
        yield _packed(tuple(parts))


def _search(point: Point) -> bytes:
    circle = ("FROMLONLAT", repr(point.lon), repr(point.lat), "BYRADIUS", repr(RADIUS_M), "m")
    return _packed(("GEOSEARCH", _KEY, *circle))


def geosearch(redis: Redis, points: Sequence[Point]) -> list[Callable[[], Any]]:
    """GEOSEARCH alone, packed beforehand: ids in the radius, no eligibility, no score."""
    return [partial(redis.call, _search(point)) for point in points]


def plain_way(redis: Redis, points: Sequence[Point], kinds: int) -> list[Callable[[], Any]]:
    """GEOSEARCH, one MGET of packed statistics, one vectorised draw of Beta, top k."""
    rng = np.random.default_rng(1)
    return [partial(_decided, redis, point, kinds, rng) for point in points]


def _decided(redis: Redis, point: Point, kinds: int, rng: np.random.Generator) -> Any:
    ids = redis.call(_search(point))
    if not ids:
        return []
    raw = redis.call(_packed(("MGET", *[b"s" + each for each in ids])))
    packed = np.frombuffer(b"".join(raw), _PACKED)
    may = np.flatnonzero((packed["expires"] > NOW) & (packed["category"] < WANTED_CATEGORIES))
    draws = rng.beta(packed["a"][may, :kinds], packed["b"][may, :kinds])
    scores = draws @ _WEIGHTS[:kinds]
    best = np.argpartition(-scores, min(LIMIT, scores.size - 1))[:LIMIT]
    return [ids[index] for index in may[best[np.argsort(-scores[best])]]]
