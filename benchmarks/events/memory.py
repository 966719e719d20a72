"""What memory each process holds for itself, sampled over time, and whether it grows."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeAlias

import asyncpg
import numpy as np
from msgspec import Struct
from redis.asyncio import Redis

from benchmarks.events.house import House
from benchmarks.events.usage import anonymous_kib, family

POSTGRES = "postgres "
REDIS = "redis without its log"
PER_S = 600.0
SERVERS = "select pid, coalesce(nullif(application_name, ''), backend_type) as name from pg_stat_activity"
KibOf: TypeAlias = Callable[[str, Sequence[int]], Mapping[str, float]]
COUNTS = "select count(*) from item_counts"


class Sample(Struct, frozen=True):
    """KiB by process, of Redis what it uses besides the event log; `counts` are all that gateways know."""

    at_s: float
    kib: Mapping[str, float]
    redis_log_kib: float
    counts: int


class Growth(Struct, frozen=True):
    """KiB at the first and last of some samples, and the trend per ten minutes."""

    first_kib: float
    last_kib: float
    trend_kib: float
    percent: float


def family_kib(name: str, pids: Sequence[int]) -> dict[str, float]:
    """Of these processes and of all that descend from them, together."""
    return {name: float(sum(anonymous_kib(pid) for one in pids for pid in family(one)))}


class Sampler:
    """Looks at every process of a house; over connections of its own that stay open, and so do not count."""

    def __init__(
        self,
        house: House,
        redis: Redis,
        connection: "asyncpg.Connection[asyncpg.Record]",
        kib_of: KibOf = family_kib,
    ) -> None:
        self._house = house
        self._kib_of = kib_of
        self._redis = redis
        self._connection = connection
        self._started = perf_counter()

    async def take(self) -> Sample:
        """How it is now."""
        at_s, pids = perf_counter() - self._started, self._house.pids
        kib = {**self._kib_of("gateway", pids["gateway"]), **self._kib_of("keeper", pids["keeper"])}
        kib |= await self._postgres(pids["postgres"])
        log_kib = await self._log_kib()
        kib[REDIS] = await self._redis_kib() - log_kib
        return Sample(at_s, kib, log_kib, await self._connection.fetchval(COUNTS))

    async def _postgres(self, pids: Sequence[int]) -> dict[str, float]:
        """Each process by itself: they come and go. Shared buffers belong to none."""
        rows = await self._connection.fetch(SERVERS)
        ours = self._connection.get_server_pid()
        names = {pids[0]: "postmaster"} | {row["pid"]: row["name"] for row in rows}
        found = family(pids[0]) - {ours}
        return {f"{POSTGRES}{names.get(pid, 'worker')} {pid}": float(anonymous_kib(pid)) for pid in found}

    async def _redis_kib(self) -> float:
        """All that it keeps, without what is on its way to clients and to the append-only file."""
        info: dict[str, float] = await self._redis.info("memory")
        return (info["used_memory"] - info["mem_clients_normal"] - info["mem_aof_buffer"]) / 1024

    async def _log_kib(self) -> float:
        streams = [key async for key in self._redis.scan_iter(match="*:log:*", _type="stream", count=1000)]
        sizes: list[Any] = [await self._redis.memory_usage(key, samples=0) for key in streams]
        return sum(size or 0 for size in sizes) / 1024


def growth(samples: Sequence[Sample]) -> dict[str, Growth]:
    """Of every process that lived through all of the samples, the largest first; Postgres also as a whole."""
    lasting = set(samples[0].kib).intersection(*(sample.kib for sample in samples))
    at_s = np.array([sample.at_s for sample in samples])
    series = {name: np.array([sample.kib[name] for sample in samples]) for name in lasting}
    servers = [held for name, held in series.items() if name.startswith(POSTGRES)]
    series[f"{POSTGRES}in all"] = np.sum(servers, axis=0)
    found = {
        name: Growth(float(held[0]), float(held[-1]), *_trend(at_s, held)) for name, held in series.items()
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].last_kib))


def _trend(at_s: "np.ndarray[Any, Any]", held: "np.ndarray[Any, Any]") -> tuple[float, float]:
    """By the median of the slopes between all pairs (Theil-Sen): what a peak or a step does, it does once."""
    first, second = np.triu_indices(len(at_s), 1)
    per_s = float(np.median((held[second] - held[first]) / (at_s[second] - at_s[first])))
    start = float(np.median(held - per_s * (at_s - at_s[0])))
    return per_s * PER_S, per_s * PER_S / start * 100 if start else 0.0
