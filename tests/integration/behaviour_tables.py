"""A customer's database with a table of behaviour, and a keeper's reader beside a counting house."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from nearcast_config.source import Source, SourceColumns
from nearcast_ledger.event import Durability
from nearcast_ledger.requestid import uuid7
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_statskeeper.grounding import TenantGrounds
from nearcast_statskeeper.sourcing import Outbox, SourceReader
from nearcast_store.behaviour.cursors import PostgresSourceCursors
from nearcast_store.counting.partitions import Partitions
from nearcast_store.log.protocol import EventLog
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from tests.integration.counting_houses import CountingHouse, counting_house
from tests.unit.statskeeper.entries import claims

TABLE = """create table "User Acts" (
    id bigint generated always as identity primary key, "at" timestamptz, what text, "Item" text, person text,
    guest text, visit text, token text, worth float8, extra json
);
create index on "User Acts" ("at", id)"""
COLUMNS = SourceColumns(
    time="at",
    id="id",
    kind="what",
    item="Item",
    user="person",
    anonymous="guest",
    session="visit",
    reward_token="token",
    value="worth",
    properties="extra",
)


def make_source(dsn: str, **changed: Any) -> Source:
    """On the customer's table, a few rows at a time."""
    settings: dict[str, Any] = {
        "tenant": "dev",
        "table": "User Acts",
        "kinds": "shown=impression, opened=view",
        "batch_rows": 300,
        "overlap_s": 300.0,
        "columns": COLUMNS,
    }
    return Source(dsn=dsn, **{**settings, **changed})


async def always() -> bool:
    return True


@dataclass(slots=True)
class Shop:
    """The customer's database, and ours."""

    dsn: str
    house: CountingHouse
    customer: "asyncpg.Connection[asyncpg.Record]"
    cursors: PostgresSourceCursors
    tokens: RewardTokens
    registry: CollectorRegistry
    metrics: Metrics

    def reader(
        self,
        log: EventLog | None = None,
        go_on: Callable[[], Awaitable[bool]] = always,
        cursors: PostgresSourceCursors | None = None,
        **changed: Any,
    ) -> SourceReader:
        """Of a keeper that has just started."""
        pool = self.house.pool
        return SourceReader(
            make_source(**{"dsn": self.dsn, **changed}),
            TenantGrounds("dev", PostgresTenantStore(pool, time.time), PostgresPolicyStore(pool)),
            Outbox(log or self.house.log, Durability.MEMORY, "keeper-source"),
            cursors or self.cursors,
            self.metrics,
            time.time,
            go_on,
        )

    async def act(self, what: str | None = "opened", ago_s: float = 60.0, **values: Any) -> int:
        """One row, as the customer's own application writes it; its id."""
        columns = {"at": datetime.now(UTC) - timedelta(seconds=ago_s), "what": what, **values}
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        row_id = await self.customer.fetchval(
            f'insert into "User Acts" ({names}) values ({places}) returning id',
            *columns.values(),
        )
        assert isinstance(row_id, int)
        return row_id

    def token(self, number: int, ago_s: float = 120.0) -> str:
        """Of an item that was shown then."""
        request_id = uuid7(int((time.time() - ago_s) * 1000), number)
        return self.tokens.sign(claims(posting=number % 7 + 1, request_id=request_id))

    async def counted(self) -> int:
        """Events in the ledger once everything is folded, without those that are implied."""
        await self.house.fold()
        number = await self.house.outsider.fetchval("select count(*) from events where not implied")
        assert isinstance(number, int)
        return number

    async def rejected(self) -> dict[str, int]:
        return await self.cursors.reasons(1, "source")


@asynccontextmanager
async def open_shop(customer_dsn: str, database: str, redis_url: str) -> AsyncIterator[Shop]:
    """The table is there and empty."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(counting_house(database, redis_url))
        await Partitions(house.pool).ensure_around(datetime.now(UTC).date())
        customer = await asyncpg.connect(customer_dsn)
        stack.push_async_callback(customer.close)
        await customer.execute(TABLE)
        keyring = await PostgresPolicyStore(house.pool).keyring(1)
        registry = CollectorRegistry()
        yield Shop(
            customer_dsn,
            house,
            customer,
            PostgresSourceCursors(house.pool),
            RewardTokens(keyring),
            registry,
            Metrics(registry, KEEPER_METRICS),
        )
