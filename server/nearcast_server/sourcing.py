"""Where candidates come from: this host's replica, or the index while that is missing, late or in doubt."""

from typing import Literal, Protocol

from msgspec.structs import replace

from nearcast_server.answering import ReplicaFinder
from nearcast_server.finding import Finder, Finding, Listed, Search
from nearcast_server.replicas import Replicas, Standing
from nearcast_store.errors import IndexUnavailableError
from nearcast_telemetry.candidatemetrics import SERVER_CANDIDATES
from nearcast_telemetry.metrics import Metrics

# An index that does not answer is not waited for by every request.
_AWAY_S = 1.0


class Onlooker(Protocol):
    """Compares replicas with the index, now and then."""

    def note(self, search: Search) -> None:
        """A fresh replica has answered this."""
        ...

    def doubts(self, tenant_id: int) -> bool:
        """Whether the replica of this tenant shall not be asked where there is a choice."""
        ...


class Source:
    """Asks the replica where it can be trusted to be like the index. Raises IndexUnavailableError.

    `auto` asks the index rather than a replica that lags, unless the index is known to have lost what the
    replica holds; `replica` asks it only for what no replica holds.
    """

    def __init__(
        self,
        mode: Literal["auto", "replica"],
        max_lag_s: float,
        replica: ReplicaFinder,
        replicas: Replicas,
        index: Finder,
        onlooker: Onlooker,
        metrics: Metrics,
    ) -> None:
        self._mode = mode
        self._max_lag_s = max_lag_s
        self._replica = replica
        self._replicas = replicas
        self._index = index
        self._onlooker = onlooker
        self._metrics = metrics
        self._away_until = 0.0

    async def find(self, search: Search) -> Finding:
        """The best items, and what is worse than it should be with where they came from."""
        standing = self._standing(search)
        if self._is_trusted(search, standing):
            found = self._from_replica(search, standing)
            if found is not None:
                return found
            if search.now < self._away_until and self._replicas.believes_otherwise(search.view):
                raise IndexUnavailableError("the replica believes otherwise, and the index is away")
        try:
            found = await self._index.find(search)
        except IndexUnavailableError:
            self._away_until = search.now + _AWAY_S
            stale = self._from_replica(search, standing)
            if stale is None:
                raise
            return stale
        self._metrics.add(SERVER_CANDIDATES, 1, "redis")
        # What no replica can hold is no shortfall of this one.
        return found if standing.declined else replace(found, shortfall="CANDIDATES_FROM_REDIS")

    def _standing(self, search: Search) -> Standing:
        """Of the state that would be asked: a list goes by no rules, so it is the newest."""
        standing = self._replicas.standing(search.view.tenant_id)
        stood_s = 0.0 if isinstance(search.ranking, Listed) else self._replicas.stood_s(search.view)
        return replace(standing, lag_s=standing.lag_s + stood_s) if stood_s else standing

    def _is_trusted(self, search: Search, standing: Standing) -> bool:
        if self._mode == "replica" or standing.index_behind or search.now < self._away_until:
            return True
        return standing.lag_s <= self._max_lag_s and not self._onlooker.doubts(search.view.tenant_id)

    def _from_replica(self, search: Search, standing: Standing) -> Finding | None:
        found = self._replica.find(search)
        if found is None:
            return None
        if standing.lag_s > self._max_lag_s:
            self._metrics.add(SERVER_CANDIDATES, 1, "stale_replica")
            return replace(found, shortfall="REPLICA_STALE", age_s=standing.lag_s)
        self._metrics.add(SERVER_CANDIDATES, 1, "replica")
        self._onlooker.note(search)
        return replace(found, age_s=standing.lag_s)
