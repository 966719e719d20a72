"""Items in memory, for the simulation and for tests."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from nearcast_catalogue.item import Item
from nearcast_store.catalog.protocol import ItemPage, StoredItem, WriteResult
from nearcast_store.catalog.writing import Kept, Writing, delete, write
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.markets.memory import MemoryMarketStore


class MemoryCatalogStore:
    """See CatalogStore."""

    def __init__(self, feed: MemoryChangeFeed, markets: MemoryMarketStore | None = None) -> None:
        self._feed = feed
        self._markets = markets or MemoryMarketStore()
        self._placed: dict[int, int] = defaultdict(int)
        self._items: dict[int, dict[str, Kept]] = defaultdict(dict)
        self._names: dict[int, dict[int, tuple[str, str]]] = defaultdict(dict)
        self._regions: dict[int, dict[int, tuple[int, str]]] = defaultdict(dict)
        self._owners: dict[int, dict[int, str]] = defaultdict(dict)
        self._postings = count(1)

    async def upsert(self, tenant_id: int, items: Sequence[Item], now: float) -> list[WriteResult]:
        """One after the other."""
        kept, atlas = self._items[tenant_id], self._markets.now(tenant_id)
        writings = [
            write(kept.get(item.item_id), item, self._postings, now, atlas.of(item)) for item in items
        ]
        return self._write(tenant_id, writings)

    async def delete(self, tenant_id: int, item_ids: Sequence[str], now: float) -> list[WriteResult]:
        """An id named twice is NOT_FOUND the second time."""
        kept = self._items[tenant_id]
        unique = dict.fromkeys(item_ids)
        writings = [
            delete(kept.get(item_id) if unique.pop(item_id, 0) is None else None, now) for item_id in item_ids
        ]
        return self._write(tenant_id, writings)

    async def get(self, tenant_id: int, item_id: str) -> StoredItem | None:
        """An expired item is there until its tombstone is forgotten."""
        kept = self._items[tenant_id].get(item_id)
        return None if kept is None or kept.deleted else kept.stored

    async def page(
        self, tenant_id: int, after_item_id: str, size: int, *, expired_too: bool, now: float
    ) -> ItemPage:
        """Sorted anew by every call."""
        found = [
            kept
            for item_id, kept in sorted(self._items[tenant_id].items())
            if item_id > after_item_id and not kept.deleted and (expired_too or not kept.has_ended(now))
        ]
        items = [kept.stored for kept in found[:size]]
        return ItemPage(items, found[size - 1].item.item_id if len(found) > size else None)

    async def sweep(self, now: float) -> int:
        """One look at every item."""
        ended = 0
        for tenant_id, items in self._items.items():
            for item_id, kept in items.items():
                if kept.ended_at is None and kept.has_ended(now):
                    items[item_id] = replace(kept, ended_at=kept.item.expires_at)
                    self._feed.tell(tenant_id, kept.posting, None)
                    ended += 1
        return ended

    async def forget_tombstones(self, before: float) -> int:
        """Forget items that ended before that time, with their versions; how many."""
        forgotten = 0
        for items in self._items.values():
            old = [i for i, kept in items.items() if kept.ended_at is not None and kept.ended_at < before]
            for item_id in old:
                del items[item_id]
            forgotten += len(old)
        return forgotten

    async def place_anew(self) -> int:
        """All at once."""
        looked = 0
        for tenant_id, items in self._items.items():
            atlas = self._markets.now(tenant_id)
            if atlas.revision == self._placed[tenant_id]:
                continue
            self._placed[tenant_id] = atlas.revision
            live = [(item_id, kept) for item_id, kept in items.items() if kept.ended_at is None]
            for item_id, kept in live:
                if kept.market != atlas.of(kept.item):
                    moved = items[item_id] = replace(kept, market=atlas.of(kept.item))
                    self._regions[tenant_id][kept.posting] = (moved.market, kept.item.category)
                    self._feed.tell(tenant_id, moved.posting, moved.served)
            looked += len(live)
        return looked

    async def names(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Also of ended lives."""
        names = self._names[tenant_id]
        return {posting: names[posting] for posting in postings if posting in names}

    async def regions(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[int, str]]:
        """Also of ended lives."""
        regions = self._regions[tenant_id]
        return {posting: regions[posting] for posting in postings if posting in regions}

    async def owners_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, str]:
        """Also of ended lives."""
        owners = self._owners[tenant_id]
        return {posting: owners[posting] for posting in postings if owners.get(posting)}

    async def items_of(self, tenant_id: int, owners: Sequence[str]) -> dict[int, str]:
        """One look at every item."""
        wanted = frozenset(owners) - {""}
        return {
            kept.posting: kept.item.owner
            for kept in self._items[tenant_id].values()
            if kept.ended_at is None and kept.item.owner in wanted
        }

    async def count_by_market(self, tenant_id: int) -> dict[int, int]:
        """Of items whose lives have not ended."""
        kept = self._items[tenant_id].values()
        return dict(Counter(each.market for each in kept if each.ended_at is None))

    async def current_postings(self, tenant_id: int, item_ids: Sequence[str]) -> dict[str, int]:
        """Expired items included, like `get`."""
        items = self._items[tenant_id]
        return {i: items[i].posting for i in item_ids if i in items and not items[i].deleted}

    def _write(self, tenant_id: int, writings: Sequence[Writing]) -> list[WriteResult]:
        for writing in writings:
            if writing.ends:
                self._feed.tell(tenant_id, writing.ends.posting, None)
            if kept := writing.kept:
                self._items[tenant_id][kept.item.item_id] = kept
                self._names[tenant_id][kept.posting] = (kept.item.item_id, kept.item.title)
                self._regions[tenant_id][kept.posting] = (kept.market, kept.item.category)
                self._owners[tenant_id][kept.posting] = kept.item.owner
                if kept.ended_at is None:
                    self._feed.tell(tenant_id, kept.posting, kept.served)
        return [writing.result for writing in writings]
