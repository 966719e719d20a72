"""The rules behind the market calls of CatalogService: each entry is checked and written by itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.checking import Violation, check_display_name, check_market_id
from nearcast_catalogue.outcomes import OK, Outcome, refused
from nearcast_geo.geojson import MARKET_LIMITS, AreaError, read_area, reason_of
from nearcast_server.errors import InvalidRequestError
from nearcast_store.markets.protocol import (
    MOST_MARKETS,
    Market,
    MarketPage,
    MarketStore,
    MarketVerdict,
    MarketWrite,
)

MOST_AT_ONCE = 100
DEFAULT_PAGE_SIZE = 100
MOST_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class MarketEntry:
    """One market of a call, as sent."""

    market_id: str
    display_name: str
    geometry: str
    priority: int = 0
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class MarketEntryResult:
    """What became of one market of a call."""

    market_id: str
    outcome: Outcome
    written: MarketWrite | None = None


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
        good, outcomes = await asyncio.to_thread(_checked, entries)
        written = await self._store.upsert(tenant_id, list(good.values()), self._clock()) if good else []
        results = dict(zip(good, written, strict=True))
        return _results([entry.market_id for entry in entries], outcomes, results)

    async def delete(
        self, tenant_id: int, market_ids: Sequence[str], *, allow_missing: bool
    ) -> list[MarketEntryResult]:
        """Take these markets off the map."""
        outcomes: dict[int, Outcome] = {}
        good: list[int] = []
        seen: set[str] = set()
        for place, market_id in enumerate(market_ids):
            problems = [*check_market_id("market_id", market_id), *_twice(market_id, seen)]
            if problems:
                outcomes[place] = refused(problems[0])
            else:
                seen.add(market_id)
                good.append(place)
        ids = [market_ids[place] for place in good]
        written = await self._store.delete(tenant_id, ids, self._clock()) if good else []
        results = dict(zip(good, written, strict=True))
        if allow_missing:
            outcomes.update({p: OK for p, r in results.items() if r.verdict is MarketVerdict.NOT_FOUND})
        return _results(market_ids, outcomes, results)

    async def page(
        self, tenant_id: int, after_market_id: str, size: int, *, with_geometry: bool
    ) -> MarketPage:
        """Markets in the order of their ids."""
        if size < 0:
            raise InvalidRequestError.of(
                "page_size",
                "PAGE_SIZE_OUT_OF_RANGE",
                f"must not be negative, got {size}",
                max=str(MOST_PAGE_SIZE),
            )
        size = min(size or DEFAULT_PAGE_SIZE, MOST_PAGE_SIZE)
        return await self._store.page(tenant_id, after_market_id, size, with_geometry=with_geometry)


def _checked(entries: Sequence[MarketEntry]) -> tuple[dict[int, Market], dict[int, Outcome]]:
    """The good entries by their place, and what is wrong with the others."""
    good: dict[int, Market] = {}
    outcomes: dict[int, Outcome] = {}
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        market = _market(entry, seen)
        if isinstance(market, Market):
            seen.add(entry.market_id)
            good[place] = market
        else:
            outcomes[place] = refused(market)
    return good, outcomes


def _market(entry: MarketEntry, seen: set[str]) -> Market | Violation:
    """The market, or the first thing wrong with it."""
    problems = [
        *check_market_id("market_id", entry.market_id),
        *_twice(entry.market_id, seen),
        *check_display_name("display_name", entry.display_name),
    ]
    if problems:
        return problems[0]
    try:
        area = read_area(entry.geometry, MARKET_LIMITS)
    except AreaError as error:
        return Violation("geometry", reason_of(error), str(error))
    return Market(entry.market_id, entry.display_name, entry.geometry, area, entry.priority, entry.disabled)


def _twice(market_id: str, seen: set[str]) -> list[Violation]:
    if market_id not in seen:
        return []
    rule = "stands earlier in the same call; that one counts"
    return [Violation("market_id", "DUPLICATE_ID_IN_BATCH", rule)]


def _results(
    market_ids: Sequence[str], outcomes: dict[int, Outcome], results: dict[int, MarketWrite]
) -> list[MarketEntryResult]:
    return [
        MarketEntryResult(
            market_id[:128],
            outcomes[place] if place in outcomes else _TOLD[results[place].verdict],
            results.get(place),
        )
        for place, market_id in enumerate(market_ids)
    ]
