"""The rules of writing markets: which number, and whether anything moves. The same in every adapter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nearcast_store.markets.protocol import (
    MOST_MARKETS,
    MOST_NUMBERS,
    Market,
    MarketVerdict,
    MarketWrite,
    StoredMarket,
)


@dataclass(frozen=True, slots=True)
class KeptMarket:
    """A market as kept, deleted ones included."""

    stored: StoredMarket
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class MarketWriting:
    """What one market of a call comes to: what to keep from now on, and whether a border moves by it."""

    result: MarketWrite
    kept: KeptMarket | None = None
    market: Market | None = None
    moves: bool = False


def write_markets(
    kept: Mapping[str, KeptMarket], numbers: Iterable[int], live: int, markets: Sequence[Market], now: float
) -> list[MarketWriting]:
    """Judge the markets of a call; `numbers` are all ever given, `live` is how many markets there are."""
    next_number = max(numbers, default=0) + 1
    writings = []
    for market in markets:
        old = kept.get(market.market_id)
        is_live = old is not None and not old.deleted
        number = old.stored.number if old else next_number
        if (not is_live and live >= MOST_MARKETS) or number > MOST_NUMBERS:
            writings.append(MarketWriting(MarketWrite(MarketVerdict.LIMIT)))
            continue
        next_number += old is None
        live += not is_live
        writings.append(_write(old, market, number, now))
    return writings


def delete_market(kept: KeptMarket | None, now: float) -> MarketWriting:
    """Take a market off the map; one that is not on it is NOT_FOUND."""
    if kept is None or kept.deleted:
        return MarketWriting(MarketWrite(MarketVerdict.NOT_FOUND))
    gone = KeptMarket(replace(kept.stored, geometry="", updated_at=now), deleted=True)
    return MarketWriting(MarketWrite(MarketVerdict.WRITTEN, kept.stored.number), gone, None, moves=True)


def _write(old: KeptMarket | None, market: Market, number: int, now: float) -> MarketWriting:
    new = StoredMarket(
        market.market_id,
        number,
        market.display_name,
        market.priority,
        market.disabled,
        old.stored.created_at if old else now,
        now,
        market.geometry,
    )
    result = MarketWrite(MarketVerdict.WRITTEN, number, created=old is None or old.deleted)
    if old is None or old.deleted:
        return MarketWriting(result, KeptMarket(new), market, moves=True)
    if replace(new, updated_at=old.stored.updated_at) == old.stored:
        return MarketWriting(result)
    moves = replace(new, display_name="", updated_at=0) != replace(old.stored, display_name="", updated_at=0)
    return MarketWriting(result, KeptMarket(new), market, moves)
