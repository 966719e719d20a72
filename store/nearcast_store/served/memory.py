"""How often items stood in answers, in memory, for simulations and tests."""

from collections import Counter
from collections.abc import Mapping, Sequence

from nearcast_store.served.protocol import ServedKey


class MemoryServedStore:
    """See ServedStore."""

    def __init__(self) -> None:
        self.counts: Counter[ServedKey] = Counter()

    async def add(self, counts: Mapping[ServedKey, int]) -> None:
        """All of it."""
        self.counts.update(counts)

    async def served_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, int]:
        """One look at every count."""
        sums: Counter[int] = Counter()
        for key, count in self.counts.items():
            if key.tenant_id == tenant_id and key.posting in postings:
                sums[key.posting] += count
        return dict(sums)

    async def served_at(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """One look at every count."""
        sums: Counter[tuple[int, int]] = Counter()
        for key, count in self.counts.items():
            if key.tenant_id == tenant_id and key.posting in postings:
                sums[key.posting, key.position_bucket] += count
        return dict(sorted(sums.items()))
