"""The plain way to decide, as well as we can: GEOSEARCH, one MGET, one vectorised draw, the best 20."""

import struct
from collections.abc import Iterable

import numpy as np

from benchmarks.recommend.world import LIMIT, LONGITUDE, RADIUS_M
from nearcast_store.connection import RedisConnection

_GEO = b"plain:geo"
_PACKED = struct.Struct("<ff")
_BATCH = 1_000


class Plain:
    """Over Redis, by the connection that the gateway uses."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._rng = np.random.default_rng(1)

    async def fill(self, places: Iterable[tuple[bytes, float, float]]) -> None:
        """Id, latitude and longitude each."""
        rows = list(places)
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            added = [each for name, lat, lon in part for each in (lon, lat, name)]
            packed = [each for name, _, _ in part for each in (b"plain:" + name, _PACKED.pack(2.0, 40.0))]
            await self._redis.pipeline([("GEOADD", _GEO, *added), ("MSET", *packed)])

    async def decide(self, latitude: float) -> list[bytes]:
        """The names of the best, best first."""
        found = await self._redis.execute(
            *("GEOSEARCH", _GEO, "FROMLONLAT", LONGITUDE, latitude, "BYRADIUS", RADIUS_M, "m")
        )
        packed = await self._redis.execute("MGET", *[b"plain:" + name for name in found])
        posteriors = np.frombuffer(b"".join(packed), "<f4").reshape(-1, 2)
        scores = self._rng.beta(posteriors[:, 0], posteriors[:, 1])
        best = np.argpartition(-scores, min(LIMIT, len(scores) - 1))[:LIMIT]
        return [found[place] for place in best[np.argsort(-scores[best])]]
