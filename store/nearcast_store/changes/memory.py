"""The change feed in memory, for the simulation and for tests."""

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from nearcast_catalogue.item import ServedItem
from nearcast_store.changes.protocol import Change, Refill

_BATCH_ITEMS = 1000


class MemoryChangeFeed:
    """See ChangeFeed. A catalogue tells it what it wrote; times come from `clock` in unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[tuple[int, int, ServedItem | None]] = deque()
        self._changes: dict[int, deque[tuple[float, Change]]] = defaultdict(deque)
        self._last: dict[int, int] = defaultdict(int)
        self._live: dict[int, dict[int, ServedItem]] = defaultdict(dict)

    def tell(self, tenant_id: int, posting: int, served: ServedItem | None) -> None:
        """What became of one posting; called in the order of writing."""
        self._waiting.append((tenant_id, posting, served))
        if served is None:
            self._live[tenant_id].pop(posting, None)
        else:
            self._live[tenant_id][posting] = served

    async def sequence(self, most: int = 1000) -> int:
        """In the order of writing."""
        count = min(most, len(self._waiting))
        for _ in range(count):
            tenant_id, posting, served = self._waiting.popleft()
            self._last[tenant_id] += 1
            change = Change(self._last[tenant_id], posting, served)
            self._changes[tenant_id].append((self._clock(), change))
        return count

    async def after(self, tenant_id: int, sequence: int, most: int) -> list[Change]:
        """Numbers have no gaps, so the place of the first one follows from its number."""
        kept = self._changes[tenant_id]
        first = max(sequence + 1 - await self.oldest_kept(tenant_id), 0)
        return [kept[index][1] for index in range(first, min(first + most, len(kept)))]

    async def last(self, tenant_id: int) -> int:
        """The highest number given so far."""
        return self._last[tenant_id]

    async def oldest_kept(self, tenant_id: int) -> int:
        """The lowest number kept."""
        return self._last[tenant_id] - len(self._changes[tenant_id]) + 1

    @asynccontextmanager
    async def refill(self, tenant_id: int) -> AsyncIterator[Refill]:
        """As of now; later writes do not show."""
        live = [served for _, served in sorted(self._live[tenant_id].items())]
        yield Refill(self._last[tenant_id], _batches(live))

    async def prune(self, before: float) -> int:
        """From the start."""
        return sum(_prune(kept, before) for kept in self._changes.values())


def _prune(kept: deque[tuple[float, Change]], before: float) -> int:
    pruned = 0
    while kept and kept[0][0] < before:
        kept.popleft()
        pruned += 1
    return pruned


async def _batches(live: list[ServedItem]) -> AsyncIterator[list[ServedItem]]:
    for start in range(0, len(live), _BATCH_ITEMS):
        yield live[start : start + _BATCH_ITEMS]
