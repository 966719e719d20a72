"""A gateway with a keeper behind it, and what an app and its backend do there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nearcast.v1 import catalog_pb2, item_pb2
from tests.gateways import Gateway, Tenant, make_config, running_gateway, running_keeper
from tests.services import new_database


@asynccontextmanager
async def working_gateway(
    postgres_server: str, template: str, redis_url: str, **settings: Any
) -> AsyncIterator[Gateway]:
    """With a database of its own; a new tenant is known to the keeper at once."""
    async with new_database(postgres_server, template) as dsn:
        config = make_config(dsn, redis_url, **settings)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)
            async with running_keeper(config), running_gateway(config) as gateway:
                yield gateway


class Town:
    """One tenant."""

    def __init__(self, gateway: Gateway, tenant: Tenant) -> None:
        self.gateway = gateway
        self.tenant = tenant

    async def call(self, request: Any) -> Any:
        return await self.gateway.call(self.tenant, request)

    async def put(self, *items: item_pb2.Item) -> list[catalog_pb2.ItemResult]:
        results = list((await self.call(catalog_pb2.UpsertItemsRequest(items=items))).results)
        assert not [result for result in results if result.outcome.code]
        return results
