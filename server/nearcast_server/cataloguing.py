"""The rules behind CatalogService: each entry is checked and written by itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.checking import Violation, check_id, check_item
from nearcast_catalogue.item import Item
from nearcast_catalogue.outcomes import OK, Outcome, refused
from nearcast_server.errors import InvalidRequestError, NotFoundError
from nearcast_store.catalog.protocol import CatalogStore, ItemPage, StoredItem, Verdict, WriteResult

MOST_ITEMS = 500
# Other calls get their turn in between: all of a large call would keep them waiting for tens of milliseconds.
CHECKED_AT_ONCE = 50
DEFAULT_PAGE_SIZE = 100
MOST_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a call: as sent, or what was already wrong with its form."""

    item_id: str
    item: Item | None
    violations: Sequence[Violation] = ()


@dataclass(frozen=True, slots=True)
class EntryResult:
    """What became of one item of a call."""

    item_id: str
    outcome: Outcome
    written: WriteResult | None = None


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
        outcomes: dict[int, Outcome] = {}
        good: list[tuple[int, Item]] = []
        seen: set[str] = set()
        for place, entry in enumerate(entries):
            if place % CHECKED_AT_ONCE == CHECKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            problem = _problem(entry, seen)
            if problem is not None:
                outcomes[place] = refused(problem)
            elif entry.item is not None:
                seen.add(entry.item_id)
                good.append((place, entry.item))
        written = (
            await self._store.upsert(tenant_id, [item for _, item in good], self._clock()) if good else []
        )
        results = {place: result for (place, _), result in zip(good, written, strict=True)}
        return [
            _result(entry.item_id, outcomes.get(place), results.get(place))
            for place, entry in enumerate(entries)
        ]

    async def delete(
        self, tenant_id: int, item_ids: Sequence[str], *, allow_missing: bool
    ) -> list[EntryResult]:
        """End the lives of these items."""
        outcomes: dict[int, Outcome] = {}
        good: list[int] = []
        seen: set[str] = set()
        for place, item_id in enumerate(item_ids):
            problems = check_id("item_id", item_id)
            if problems:
                outcomes[place] = refused(problems[0])
            elif item_id in seen:
                outcomes[place] = refused(_duplicate())
            else:
                seen.add(item_id)
                good.append(place)
        written = (
            await self._store.delete(tenant_id, [item_ids[p] for p in good], self._clock()) if good else []
        )
        results = dict(zip(good, written, strict=True))
        if allow_missing:
            outcomes.update({p: OK for p, r in results.items() if r.verdict is Verdict.NOT_FOUND})
        return [
            _result(item_id, outcomes.get(place), results.get(place))
            for place, item_id in enumerate(item_ids)
        ]

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
        if size < 0:
            raise InvalidRequestError.of(
                "page_size",
                "PAGE_SIZE_OUT_OF_RANGE",
                f"must not be negative, got {size}",
                max=str(MOST_PAGE_SIZE),
            )
        size = min(size or DEFAULT_PAGE_SIZE, MOST_PAGE_SIZE)
        return await self._store.page(
            tenant_id, after_item_id, size, expired_too=expired_too, now=self._clock()
        )


def _problem(entry: Entry, seen: set[str]) -> Violation | None:
    """The first thing wrong with an entry."""
    problems = list(entry.violations) or (check_item(entry.item) if entry.item is not None else [])
    if problems:
        return problems[0]
    return _duplicate() if entry.item_id in seen else None


def _duplicate() -> Violation:
    return Violation("item_id", "DUPLICATE_ID_IN_BATCH", "stands earlier in the same call; that one counts")


def _result(item_id: str, outcome: Outcome | None, written: WriteResult | None) -> EntryResult:
    if outcome is None:
        outcome = _TOLD[written.verdict] if written is not None else OK
    return EntryResult(item_id[:128], outcome, written)
