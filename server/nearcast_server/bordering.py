"""The rules behind the market calls of CatalogService: each entry is checked and written by itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.checking import Violation, check_display_name, check_market_id
from nearcast_catalogue.outcomes import OK, Outcome
from nearcast_geo.geojson import MARKET_LIMITS, AreaError, read_area, reason_of
from nearcast_server.batching import Batch, Result, batch_of_ids
from nearcast_server.limits import page_size_of
from nearcast_store.markets.protocol import (
    MOST_MARKETS,
    Market,
    MarketPage,
    MarketStore,
    MarketVerdict,
    MarketWrite,
)

MOST_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class MarketEntry:
    """One market of a call, as sent."""

    market_id: str
    display_name: str
    geometry: str
    priority: int = 0
    disabled: bool = False


MarketEntryResult = Result[MarketWrite]
"""What became of one market of a call."""

_TOLD: dict[MarketVerdict, Outcome] = {
    MarketVerdict.WRITTEN: OK,
    MarketVerdict.LIMIT: Outcome(
        "INVALID_ARGUMENT",
        "MARKET_LIMIT",
        f"there are {MOST_MARKETS} markets already, or no number is left; delete one that is not needed",
        "market_id",
        "DROP",
    ),
    MarketVerdict.NOT_FOUND: Outcome(
        "NOT_FOUND", "MARKET_NOT_FOUND", "there is no such market", "market_id", "DROP"
    ),
}


class MarketKeeper:
    """Writes and lists markets."""

    def __init__(self, store: MarketStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def upsert(self, tenant_id: int, entries: Sequence[MarketEntry]) -> list[MarketEntryResult]:
        """Write the good entries; a bad one never spoils the others."""
        # A megabyte of borders takes a while to be looked at, and others are answered meanwhile.
        batch = await asyncio.to_thread(_checked, entries)
        good = batch.good
        written = await self._store.upsert(tenant_id, good, self._clock()) if good else []
        return batch.results(written, lambda write: _TOLD[write.verdict])

    async def delete(
        self, tenant_id: int, market_ids: Sequence[str], *, allow_missing: bool
    ) -> list[MarketEntryResult]:
        """Take these markets off the map."""
        batch = batch_of_ids("market_id", market_ids, check_market_id)
        good = batch.good
        written = await self._store.delete(tenant_id, good, self._clock()) if good else []
        told = _TOLD | {MarketVerdict.NOT_FOUND: OK} if allow_missing else _TOLD
        return batch.results(written, lambda write: told[write.verdict])

    async def page(
        self, tenant_id: int, after_market_id: str, size: int, *, with_geometry: bool
    ) -> MarketPage:
        """Markets in the order of their ids."""
        size = page_size_of(size)
        return await self._store.page(tenant_id, after_market_id, size, with_geometry=with_geometry)


def _checked(entries: Sequence[MarketEntry]) -> Batch[Market]:
    batch = Batch[Market]("market_id")
    for entry in entries:
        batch.add(entry.market_id, _market(entry, batch))
    return batch


def _market(entry: MarketEntry, batch: Batch[Market]) -> Market | Violation:
    """The market, or the first thing wrong with it."""
    problems = [
        *check_market_id("market_id", entry.market_id),
        *batch.twice(entry.market_id),
        *check_display_name("display_name", entry.display_name),
    ]
    if problems:
        return problems[0]
    try:
        area = read_area(entry.geometry, MARKET_LIMITS)
    except AreaError as error:
        return Violation("geometry", reason_of(error), str(error))
    return Market(entry.market_id, entry.display_name, entry.geometry, area, entry.priority, entry.disabled)
