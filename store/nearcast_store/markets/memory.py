"""Markets in memory, for the simulation and for tests."""

from collections import defaultdict
from collections.abc import Sequence

from nearcast_geo.area import Area
from nearcast_store.markets.atlas import NO_MARKETS, Atlas, Ranked
from nearcast_store.markets.protocol import Market, MarketPage, MarketWrite
from nearcast_store.markets.writing import KeptMarket, MarketWriting, delete_market, write_markets


class MemoryMarketStore:
    """See MarketStore."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[str, KeptMarket]] = defaultdict(dict)
        self._areas: dict[int, dict[int, Area]] = defaultdict(dict)
        self._atlases: dict[int, Atlas] = {}

    async def upsert(self, tenant_id: int, markets: Sequence[Market], now: float) -> list[MarketWrite]:
        """One after the other."""
        kept = self._kept[tenant_id]
        live = sum(not each.deleted for each in kept.values())
        numbers = [each.stored.number for each in kept.values()]
        return self._write(tenant_id, write_markets(kept, numbers, live, markets, now))

    async def delete(self, tenant_id: int, market_ids: Sequence[str], now: float) -> list[MarketWrite]:
        """One after the other."""
        kept = self._kept[tenant_id]
        return self._write(tenant_id, [delete_market(kept.get(each), now) for each in market_ids])

    async def page(
        self, tenant_id: int, after_market_id: str, size: int, *, with_geometry: bool
    ) -> MarketPage:
        """Geometries come whether asked for or not."""
        del with_geometry
        found = [
            kept.stored
            for market_id, kept in sorted(self._kept[tenant_id].items())
            if market_id > after_market_id and not kept.deleted
        ]
        return MarketPage(found[:size], found[size - 1].market_id if len(found) > size else None)

    async def atlas(self, tenant_id: int) -> Atlas:
        """The markets as they are now."""
        return self.now(tenant_id)

    def now(self, tenant_id: int) -> Atlas:
        """The same, without waiting."""
        return self._atlases.get(tenant_id, NO_MARKETS)

    def _write(self, tenant_id: int, writings: Sequence[MarketWriting]) -> list[MarketWrite]:
        for writing in writings:
            if writing.kept:
                self._kept[tenant_id][writing.kept.stored.market_id] = writing.kept
            if writing.market:
                self._areas[tenant_id][writing.result.number] = writing.market.area
        if any(writing.moves for writing in writings):
            self._atlases[tenant_id] = self._drawn(tenant_id)
        return [writing.result for writing in writings]

    def _drawn(self, tenant_id: int) -> Atlas:
        areas = self._areas[tenant_id]
        on_map = [
            kept.stored
            for kept in self._kept[tenant_id].values()
            if not kept.deleted and not kept.stored.disabled
        ]
        return Atlas(
            self.now(tenant_id).revision + 1,
            [Ranked(each.number, each.market_id, each.priority, areas[each.number]) for each in on_map],
        )
