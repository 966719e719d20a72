"""The ledger as a stream of rows: all of them, in order, and from where one broke off."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from nearcast_config.policytext import default_policy
from nearcast_ledger.requestid import uuid7_ms
from nearcast_store.counting.exporting import Span, UnknownKindError, stream_events
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.conformance.ledger_rows import Day


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Two tenants and a day that both lived."""
    opened = await open_pool(database, size=2, timeout_s=20.0)
    for slug in ("one", "two"):
        tenant_id = await PostgresTenantStore(opened).ensure_tenant(slug, slug)
        await PostgresPolicyStore(opened).apply(tenant_id, default_policy(), "test", "")
    await PostgresCountStore(opened).fold(Batch(Day(31, requests=300).rows))
    yield opened
    await opened.close()


async def exported(pool: Pool, tenant_id: int = 1, span: Span | None = None) -> list[dict[str, Any]]:
    async with aclosing(stream_events(pool, tenant_id, span or Span())) as rows:
        return [dict(row) async for row in rows]


async def test_every_row_of_a_tenant_comes_once_in_the_order_of_time(pool: Pool) -> None:
    rows = await exported(pool)
    async with pool.connection() as connection:
        stored = await connection.fetchval("select count(*) from events where tenant_id = 1")
    assert len(rows) == stored > 500
    keys = [(row["origin_id"], row["posting"], row["identity_kind"]) for row in rows]
    assert keys == sorted(set(keys))
    assert {row["kind"] for row in rows} == {"impression", "view", "save", "apply"}
    assert await exported(pool) == rows


async def test_an_export_goes_on_where_it_broke_off(pool: Pool) -> None:
    rows = await exported(pool)
    last = rows[len(rows) // 2]
    rest = await exported(pool, span=Span(since_ms=uuid7_ms(last["origin_id"])))
    assert rest == [row for row in rows if uuid7_ms(row["origin_id"]) >= uuid7_ms(last["origin_id"])]
    head = await exported(pool, span=Span(until_ms=uuid7_ms(last["origin_id"])))
    assert head + rest == rows


async def test_only_one_kind_and_only_one_tenant(pool: Pool) -> None:
    rows = await exported(pool, 2)
    saves = await exported(pool, 2, Span(kind="save"))
    assert saves == [row for row in rows if row["kind"] == "save"] != []
    other = {(row["origin_id"], row["posting"], row["identity_kind"]) for row in await exported(pool, 1)}
    assert not other & {(row["origin_id"], row["posting"], row["identity_kind"]) for row in rows}


async def test_an_unknown_kind_is_told_with_the_known_ones(pool: Pool) -> None:
    with pytest.raises(UnknownKindError, match="no kind purchase; known: apply, impression, save, view"):
        await exported(pool, 1, Span(kind="purchase"))
