"""Everything that candidates come from, built from the settings of a gateway."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nearcast_config.process import ProcessConfig
from nearcast_replica.answering import Answerer, answerer
from nearcast_replica.control import Declined
from nearcast_server.answering import ReplicaFinder
from nearcast_server.finding import Finder
from nearcast_server.placement import files_of
from nearcast_server.rehearsing import Stage
from nearcast_server.replicas import Replicas
from nearcast_server.searching import IndexFinder
from nearcast_server.shadowing import Comparison, Shadow
from nearcast_server.sourcing import Source
from nearcast_server.tenancy import Tenancies
from nearcast_server.versions import HeldVersions
from nearcast_store.connection import RedisConnection
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_telemetry.candidatemetrics import (
    SERVER_INDEX_ORPHANS,
    SERVER_REPLICA_BYTES,
    SERVER_REPLICA_DECLINED,
    SERVER_REPLICA_DOUBTED,
    SERVER_REPLICA_GENERATION,
    SERVER_REPLICA_LAG_SECONDS,
    SERVER_REPLICA_PENDING,
    SERVER_REPLICA_RESYNCS,
)
from nearcast_telemetry.metrics import Metrics

REFRESH_EVERY_S = 1.0
_MOST_TOLD = 3
_DECLINED = {
    Declined.MEMORY: "its items do not fit into replica.memory_mib",
    Declined.NAMES: "it has too many markets, categories or tags",
    Declined.SYSTEM: "the host refused a file or memory",
}


@dataclass(frozen=True, slots=True)
class Candidates:
    """Who finds them, and what has to run beside it; without a replica nothing has.

    `stage` finds what policies that are not in force would show.
    """

    finder: Finder
    stage: Stage
    tenancies: Tenancies
    replicas: Replicas | None = None
    shadow: Shadow | None = None

    async def open(self) -> None:
        """Have everything in place before the first question; otherwise the index answers until it is."""
        if self.replicas is not None:
            await self.replicas.open()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep up with the writer, and compare, until told to stop."""
        if self.replicas is None or self.shadow is None:
            return
        await asyncio.gather(self.replicas.run(REFRESH_EVERY_S, stop), self.shadow.run(stop))

    def are_warm(self) -> bool:
        """Whether there is something to answer from while the index is away."""
        return self.replicas is not None and self.replicas.are_warm()

    def alarm(self) -> str | None:
        """What is wrong although everything can be answered, None for nothing."""
        doubted = [] if self.shadow is None else self.shadow.doubted()
        return f"the replica of tenant {doubted[0]} differed from the index" if doubted else None

    def told(self) -> str:
        """Who is answered from the index by decision, in words for operators; "" for nobody."""
        declined = [(view.tenant_id, self._declined(view.tenant_id)) for view in self.tenancies.known()]
        told = [
            f"tenant {number} is answered from Redis, as {_DECLINED[why]}" for number, why in declined if why
        ]
        return "; ".join(told[:_MOST_TOLD]) + (
            f"; and {left} more" if (left := len(told) - _MOST_TOLD) > 0 else ""
        )

    def _declined(self, tenant_id: int) -> Declined:
        return Declined.NOT if self.replicas is None else self.replicas.standing(tenant_id).declined

    def measure(self, metrics: Metrics) -> None:
        """Set what is only measured when somebody asks."""
        if self.replicas is None or self.shadow is None:
            return
        tenant_ids = [view.tenant_id for view in self.tenancies.known()]
        found = [vitals for vitals in map(self.replicas.vitals, tenant_ids) if vitals is not None]
        lags = [self.replicas.standing(tenant_id).lag_s for tenant_id in tenant_ids]
        metrics.set(SERVER_REPLICA_LAG_SECONDS, max((lag for lag in lags if lag < float("inf")), default=0.0))
        metrics.set(SERVER_REPLICA_BYTES, self.replicas.size_bytes())
        metrics.set(SERVER_REPLICA_GENERATION, max((each.generation for each in found), default=0))
        metrics.set(SERVER_REPLICA_PENDING, sum(each.pending for each in found))
        metrics.set(SERVER_REPLICA_RESYNCS, sum(each.resyncs for each in found))
        metrics.set(SERVER_REPLICA_DOUBTED, len(self.shadow.doubted()))
        declined = Counter(map(self._declined, tenant_ids))
        for why in _DECLINED:
            metrics.set(SERVER_REPLICA_DECLINED, declined[why], why.name.lower())


def candidates(
    config: ProcessConfig,
    connection: RedisConnection,
    tenancies: Tenancies,
    build: str,
    metrics: Metrics,
    load: Callable[[], None],
) -> Candidates:
    """From the replica of this host, unless the settings say otherwise.

    `load` is done beside the requests, before the replica is first asked.
    """

    def make_answerer() -> Answerer:
        load()
        return answerer()

    index = RedisGeoIndex(connection, note_orphans=lambda count: metrics.add(SERVER_INDEX_ORPHANS, count))
    plain, mode = IndexFinder(index), config.gateway.candidates
    if mode == "redis":
        return Candidates(plain, Stage(plain), tenancies)
    replicas = Replicas(files_of(config), build, tenancies, make_answerer, time.time)
    quick = ReplicaFinder(replicas)
    comparison = Comparison(quick, plain, HeldVersions(replicas, index))
    shadow = Shadow(config.replica.shadow_share, comparison, random.random, time.time, metrics)
    source = Source(mode, config.replica.max_lag_s, quick, replicas, plain, shadow, metrics)
    return Candidates(source, Stage(plain, quick), tenancies, replicas, shadow)
