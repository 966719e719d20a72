"""Where markets are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nearcast_geo.area import Area
from nearcast_store.markets.atlas import Atlas

MOST_MARKETS = 2000
MOST_NUMBERS = 32_767


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What a tenant says of a market, and the area that its geometry came to."""

    market_id: str
    display_name: str
    geometry: str
    area: Area
    priority: int = 0
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class StoredMarket:
    """A market as kept; `geometry` as it was given, empty when it was not asked for."""

    market_id: str
    number: int
    display_name: str
    priority: int
    disabled: bool
    created_at: float
    updated_at: float
    geometry: str = ""


class MarketVerdict(Enum):
    """What became of one write."""

    WRITTEN = "written"
    LIMIT = "limit"  # there are too many, or no number is left
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class MarketWrite:
    """What became of one market of a call, with its number when it has one."""

    verdict: MarketVerdict
    number: int = 0
    created: bool = False


@dataclass(frozen=True, slots=True)
class MarketPage:
    """Some markets in the order of their ids; `last_market_id` continues after them, None at the end."""

    markets: Sequence[StoredMarket]
    last_market_id: str | None


class MarketStore(Protocol):
    """Writes markets; a change of borders makes a new atlas. Raises StoreUnavailableError."""

    async def upsert(self, tenant_id: int, markets: Sequence[Market], now: float) -> list[MarketWrite]:
        """Write each market by itself; ids are unique within the call. A known id keeps its number."""
        ...

    async def delete(self, tenant_id: int, market_ids: Sequence[str], now: float) -> list[MarketWrite]:
        """Take markets off the map; their numbers are kept for them. Ids are unique within the call."""
        ...

    async def page(
        self, tenant_id: int, after_market_id: str, size: int, *, with_geometry: bool
    ) -> MarketPage:
        """Markets whose id is greater than `after_market_id`, in byte order, disabled ones too."""
        ...

    async def atlas(self, tenant_id: int) -> Atlas:
        """The markets as they are now, the same atlas for as long as no border changes."""
        ...
