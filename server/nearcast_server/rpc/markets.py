"""Markets between the wire and plain values."""

from collections.abc import Sequence

from nearcast.v1 import catalog_pb2, market_pb2
from nearcast_server.bordering import MarketEntry, MarketEntryResult
from nearcast_server.rpc.fitting import fitting
from nearcast_server.rpc.items import to_stamp
from nearcast_server.rpc.outcomes import to_outcome
from nearcast_store.markets.protocol import MarketPage, StoredMarket


def to_entry(message: market_pb2.Market) -> MarketEntry:
    """What the caller says of a market."""
    return MarketEntry(
        message.market_id, message.display_name, message.geometry, message.priority, message.disabled
    )


def to_results(results: Sequence[MarketEntryResult]) -> list[catalog_pb2.MarketResult]:
    """The wire's results."""
    return [
        catalog_pb2.MarketResult(
            market_id=result.entry_id,
            outcome=to_outcome(result.outcome),
            number=result.written.number if result.written else 0,
            created=result.written.created if result.written else False,
        )
        for result in results
    ]


def fitting_markets(page: MarketPage) -> tuple[list[market_pb2.Market], str | None]:
    """As much of a page as one message may hold, and the market to go on after."""
    markets = fitting(page.markets, _to_message)
    taken = len(markets)
    return markets, page.last_market_id if taken == len(page.markets) else page.markets[taken - 1].market_id


def _to_message(stored: StoredMarket) -> market_pb2.Market:
    return market_pb2.Market(
        market_id=stored.market_id,
        display_name=stored.display_name,
        geometry=stored.geometry,
        priority=stored.priority,
        disabled=stored.disabled,
        number=stored.number,
        created_at=to_stamp(stored.created_at),
        updated_at=to_stamp(stored.updated_at),
    )
