"""The rules behind CatalogService: each entry is checked and written by itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.checking import Violation, check_id, check_item
from nearcast_catalogue.item import Item
from nearcast_catalogue.outcomes import OK, Outcome
from nearcast_server.batching import Batch, Result, batch_of_ids
from nearcast_server.errors import InvalidRequestError, NotFoundError
from nearcast_server.limits import page_size_of
from nearcast_store.catalog.protocol import CatalogStore, ItemPage, StoredItem, Verdict, WriteResult

MOST_ITEMS = 500
# Other calls get their turn in between: all of a large call would keep them waiting for tens of milliseconds.
CHECKED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a call: as sent, or what was already wrong with its form."""

    item_id: str
    item: Item | None
    violations: Sequence[Violation] = ()


EntryResult = Result[WriteResult]
"""What became of one item of a call."""

_TOLD: dict[Verdict, Outcome] = {
    Verdict.WRITTEN: OK,
    Verdict.STALE: Outcome(
        "ABORTED",
        "VERSION_STALE",
        "the stored item has a higher version, or another content under this one",
        "version",
        "DROP",
    ),
    Verdict.ETAG_MISMATCH: Outcome(
        "ABORTED",
        "ETAG_MISMATCH",
        "the stored item has another etag; read it again and repeat the change",
        "etag",
        "DROP",
    ),
    Verdict.NOT_FOUND: Outcome("NOT_FOUND", "ITEM_NOT_FOUND", "there is no such item", "item_id", "DROP"),
}


class Cataloguer:
    """Writes and reads items."""

    def __init__(self, store: CatalogStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def upsert(self, tenant_id: int, entries: Sequence[Entry]) -> list[EntryResult]:
        """Write the good entries; a bad one never spoils the others."""
        batch = Batch[Item]("item_id")
        for place, entry in enumerate(entries):
            if place % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            batch.add(entry.item_id, _judged(entry, batch))
        good = batch.good
        written = await self._store.upsert(tenant_id, good, self._clock()) if good else []
        return batch.results(written, lambda write: _TOLD[write.verdict])

    async def delete(
        self, tenant_id: int, item_ids: Sequence[str], *, allow_missing: bool
    ) -> list[EntryResult]:
        """End the lives of these items."""
        batch = batch_of_ids("item_id", item_ids, check_id)
        good = batch.good
        written = await self._store.delete(tenant_id, good, self._clock()) if good else []
        told = _TOLD | {Verdict.NOT_FOUND: OK} if allow_missing else _TOLD
        return batch.results(written, lambda write: told[write.verdict])

    async def get(self, tenant_id: int, item_id: str) -> StoredItem:
        """The item as stored."""
        problems = check_id("item_id", item_id)
        if problems:
            raise InvalidRequestError(problems)
        stored = await self._store.get(tenant_id, item_id)
        if stored is None:
            raise NotFoundError(
                "ITEM_NOT_FOUND", f"there is no item {item_id}", metadata={"item_id": item_id}
            )
        return stored

    async def page(self, tenant_id: int, after_item_id: str, size: int, *, expired_too: bool) -> ItemPage:
        """Items in the order of their ids."""
        size = page_size_of(size)
        return await self._store.page(
            tenant_id, after_item_id, size, expired_too=expired_too, now=self._clock()
        )


def _judged(entry: Entry, batch: Batch[Item]) -> Item | Violation:
    """The item, or the first thing wrong with it."""
    if entry.item is None:
        return entry.violations[0]
    problems = [*check_item(entry.item), *batch.twice(entry.item_id)]
    return problems[0] if problems else entry.item
