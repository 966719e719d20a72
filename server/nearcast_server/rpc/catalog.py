"""CatalogService on the wire."""

import asyncio
from collections.abc import Sequence

from nearcast.v1 import catalog_pb2, item_pb2
from nearcast_server.bordering import MOST_AT_ONCE, MarketKeeper
from nearcast_server.cataloguing import CHECKED_AT_ONCE, MOST_ITEMS, Cataloguer, Entry, EntryResult
from nearcast_server.errors import InvalidRequestError
from nearcast_server.listpages import ListPages
from nearcast_server.rpc.fitting import fitting
from nearcast_server.rpc.items import stored_painter, to_item
from nearcast_server.rpc.markets import fitting_markets, to_entry, to_results
from nearcast_server.rpc.outcomes import to_outcome
from nearcast_server.rpc.queries import MOST_TOKEN_CHARS, check_batch
from nearcast_store.catalog.protocol import ItemPage
from nearcast_store.tenants.protocol import Caller


class CatalogService:
    """What can be shown, and the markets it lies in."""

    def __init__(
        self, cataloguer: Cataloguer, markets: MarketKeeper, pages: ListPages, market_pages: ListPages
    ) -> None:
        self._cataloguer = cataloguer
        self._markets = markets
        self._pages = pages
        self._market_pages = market_pages

    async def UpsertItems(
        self, caller: Caller, request: catalog_pb2.UpsertItemsRequest
    ) -> catalog_pb2.UpsertItemsResponse:
        """Create or replace items, each by itself."""
        check_batch("items", len(request.items), MOST_ITEMS)
        entries: list[Entry] = []
        for start in range(0, len(request.items), CHECKED_AT_ONCE):
            entries += [_entry(item) for item in request.items[start : start + CHECKED_AT_ONCE]]
            await asyncio.sleep(0)
        results = await self._cataloguer.upsert(caller.tenant_id, entries)
        return catalog_pb2.UpsertItemsResponse(results=_results(results))

    async def DeleteItems(
        self, caller: Caller, request: catalog_pb2.DeleteItemsRequest
    ) -> catalog_pb2.DeleteItemsResponse:
        """Delete items by id, each by itself."""
        check_batch("item_ids", len(request.item_ids), MOST_ITEMS)
        results = await self._cataloguer.delete(
            caller.tenant_id, list(request.item_ids), allow_missing=request.allow_missing
        )
        return catalog_pb2.DeleteItemsResponse(results=_results(results))

    async def GetItem(
        self, caller: Caller, request: catalog_pb2.GetItemRequest
    ) -> catalog_pb2.GetItemResponse:
        """One item, as last written."""
        paint = stored_painter(request.read_mask)
        return catalog_pb2.GetItemResponse(
            item=paint(await self._cataloguer.get(caller.tenant_id, request.item_id))
        )

    async def ListItems(
        self, caller: Caller, request: catalog_pb2.ListItemsRequest
    ) -> catalog_pb2.ListItemsResponse:
        """Items in the order of their ids."""
        paint = stored_painter(request.read_mask)
        after = _opened(self._pages, caller.tenant_id, request.page_token, request.show_expired)
        page = await self._cataloguer.page(
            caller.tenant_id, after, request.page_size, expired_too=request.show_expired
        )
        items = fitting(page.items, paint)
        last = _last(page, len(items))
        more = "" if last is None else self._pages.close(caller.tenant_id, last, request.show_expired)
        return catalog_pb2.ListItemsResponse(items=items, next_page_token=more)

    async def UpsertMarkets(
        self, caller: Caller, request: catalog_pb2.UpsertMarketsRequest
    ) -> catalog_pb2.UpsertMarketsResponse:
        """Create or replace markets, each by itself."""
        check_batch("markets", len(request.markets), MOST_AT_ONCE)
        results = await self._markets.upsert(caller.tenant_id, [to_entry(each) for each in request.markets])
        return catalog_pb2.UpsertMarketsResponse(results=to_results(results))

    async def DeleteMarkets(
        self, caller: Caller, request: catalog_pb2.DeleteMarketsRequest
    ) -> catalog_pb2.DeleteMarketsResponse:
        """Delete markets by id, each by itself."""
        check_batch("market_ids", len(request.market_ids), MOST_AT_ONCE)
        results = await self._markets.delete(
            caller.tenant_id, list(request.market_ids), allow_missing=request.allow_missing
        )
        return catalog_pb2.DeleteMarketsResponse(results=to_results(results))

    async def ListMarkets(
        self, caller: Caller, request: catalog_pb2.ListMarketsRequest
    ) -> catalog_pb2.ListMarketsResponse:
        """Markets in the order of their ids."""
        tenant_id, pages, detail = caller.tenant_id, self._market_pages, request.show_geometry
        after = _opened(pages, tenant_id, request.page_token, detail)
        page = await self._markets.page(tenant_id, after, request.page_size, with_geometry=detail)
        markets, last = fitting_markets(page)
        more = "" if last is None else pages.close(tenant_id, last, detail)
        return catalog_pb2.ListMarketsResponse(markets=markets, next_page_token=more)


def _opened(pages: ListPages, tenant_id: int, token: str, detail: bool) -> str:
    if len(token) > MOST_TOKEN_CHARS:
        raise InvalidRequestError.of("page_token", "PAGE_TOKEN_INVALID", "is no token of this server")
    return pages.open(tenant_id, token, detail) if token else ""


def _last(page: ItemPage, taken: int) -> str | None:
    """The item to go on after when so many of a page were taken; None at the end."""
    return page.last_item_id if taken == len(page.items) else page.items[taken - 1].served.item.item_id


def _entry(message: item_pb2.Item) -> Entry:
    try:
        return Entry(message.item_id, to_item(message))
    except InvalidRequestError as error:
        return Entry(message.item_id, None, error.violations)


def _results(results: Sequence[EntryResult]) -> list[catalog_pb2.ItemResult]:
    return [
        catalog_pb2.ItemResult(
            item_id=result.entry_id,
            outcome=to_outcome(result.outcome),
            version=result.written.version if result.written else 0,
            etag=result.written.etag if result.written else "",
            posting=result.written.posting if result.written else 0,
            created=result.written.created if result.written else False,
        )
        for result in results
    ]
