"""All that a tenant has counted, read page by page and kept as sums, under one policy or several."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from nearcast_cli.operating import check_schema, records_on
from nearcast_cli.previewing import Regions, Side, proposed, side_of
from nearcast_config.policy import Policy
from nearcast_statskeeper.priors import Seen, seen_in, seen_together
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import Exposing, exposing
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.policies.protocol import Revision
from nearcast_store.postgres import open_pool

# All counts and all items are read.
STATEMENT_S = 120.0
_PLACED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Both policies over the same counts, the items that may be shown, and the names of markets by number."""

    sides: tuple[Side, Side]
    live: Regions
    markets: dict[int, str]


async def read_ground(dsn: str, tenant: str, policy: Policy, first: Policy | None) -> Ground:
    """As of now. CommandFailedError for an unknown tenant."""
    pool = await open_pool(dsn, 2, STATEMENT_S, "nearcast cli")
    try:
        await check_schema(pool)
        records, markets = records_on(pool, first), PostgresMarketStore(pool)
        catalog = PostgresCatalogStore(pool, markets)
        tenant_id = await records.tenant_id(tenant)
        in_force, now = await records.policies.current(tenant_id), time.time()
        revisions = (in_force, proposed(in_force, policy))
        live, atlas = await catalog.live_regions(tenant_id, now), await markets.atlas(tenant_id)
        curve = await PostgresCurveStore(pool).latest(tenant_id)
        kept = [exposing(each.policy, curve.shares if curve else None, atlas.numbers) for each in revisions]
        both = await _seen(PostgresCountStore(pool), revisions, kept, now)
        regions: dict[int, tuple[int, str]] = {}
        counted = both[0].postings.tolist()
        for start in range(0, len(counted), _PLACED_AT_ONCE):
            regions |= await catalog.regions(tenant_id, counted[start : start + _PLACED_AT_ONCE])
    finally:
        await pool.close()
    before, after = (
        side_of(revision, each, seen, regions, atlas.numbers, now)
        for revision, each, seen in zip(revisions, kept, both, strict=True)
    )
    return Ground((before, after), live, {number: name for name, number in atlas.numbers.items()})


async def _seen(
    counts: PostgresCountStore, revisions: Sequence[Revision], kept: Sequence[Exposing], now: float
) -> list[Seen]:
    parts: list[list[Seen]] = [[] for _ in revisions]
    after, more = None, True
    while more:
        page = await counts.changed_since(revisions[0].tenant_id, None, after)
        columns = CountColumns.of(page.rows)
        for part, revision, each in zip(parts, revisions, kept, strict=True):
            part.append(await asyncio.to_thread(seen_in, columns, revision, each, now))
        more, after = page.more, page.rows[-1] if len(page.rows) else after
    return [
        seen_together(part, len(revision.policy.kinds))
        for part, revision in zip(parts, revisions, strict=True)
    ]
