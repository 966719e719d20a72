"""Which version of an item this host's replica holds, and which the index does."""

from collections.abc import Iterable, Mapping

from nearcast_replica.lookup import slot_of_posting
from nearcast_server.replicas import Replicas
from nearcast_store.index.redis import RedisGeoIndex


class HeldVersions:
    """Of both sides, as they are now."""

    def __init__(self, replicas: Replicas, index: RedisGeoIndex) -> None:
        self._replicas = replicas
        self._index = index

    async def of(
        self, tenant_id: int, postings: Iterable[int]
    ) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """What a side does not hold is missing. Raises IndexUnavailableError."""
        wanted = list(postings)
        return self._replica(tenant_id, wanted), await self._index.versions(tenant_id, wanted)

    def abreast_at(self, tenant_id: int) -> float:
        """When what is mapped here last held all that the index did, unix seconds; 0 when it does not."""
        return self._replicas.abreast_at(tenant_id)

    def _replica(self, tenant_id: int, postings: Iterable[int]) -> Mapping[int, int]:
        pinned = self._replicas.pin(tenant_id)
        if pinned is None:
            return {}
        segment = pinned.segment
        slots = {posting: slot_of_posting(segment, posting) for posting in postings}
        return {
            posting: int(segment["version"][slot])
            for posting, slot in slots.items()
            if slot is not None and segment["expires"][slot]
        }
