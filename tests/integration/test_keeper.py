"""The whole keeper, against real Postgres and Redis that come late, go away, come back empty or set back."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.process import Keeper, Log, Postgres, Preflight, ProcessConfig, Redis
from nearcast_geo.point import Point
from nearcast_ledger.event import AcceptedEvent, Durability, Entry
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_statskeeper.app import run_keeper, run_rebuild
from nearcast_statskeeper.faults import LAST_US
from nearcast_store import redis_keys
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.redis_client import open_client
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.endpoint import EndpointError
from tests.gateways import eventually
from tests.integration.keeper_lines import Line, postgres_line, redis_line
from tests.unit.statskeeper import entries
from tests.unit.statskeeper.entries import claims, learned, uuid7

HERE = Point(59.91, 10.75)
TIMEOUT_S = 60.0
# A keeper drops days that are long past.
NOW_S = time.time()


def entry(*events: AcceptedEvent) -> Entry:
    return entries.entry(*events, at_s=NOW_S)


def impression(request: int) -> AcceptedEvent:
    return learned(IMPRESSION, claims=claims(request, request_id=uuid7(request, NOW_S - 60)))


def view(request: int) -> AcceptedEvent:
    return learned(VIEW, claims=claims(request, request_id=uuid7(request, NOW_S - 60)))


@dataclass(slots=True)
class House:
    """What a gateway would hold, on connections that no test cuts, and the keeper's configuration."""

    config: ProcessConfig
    postgres: Line
    redis: Line
    pool: Pool
    client: RedisClient
    index: RedisGeoIndex
    log: RedisEventLog
    tenant_id: int

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[asyncio.Event]:
        """A keeper at work; the event is set once it is ready, and it ends cleanly."""
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(run_keeper(self.config, stop, ready.set))
        try:
            yield ready
        finally:
            stop.set()
            await asyncio.wait_for(running, TIMEOUT_S)

    async def write(self, *titles: str, expires_at: float | None = None) -> None:
        items = [
            Item(ItemId(title), (Place(HERE.lat, HERE.lon),), title=title, expires_at=expires_at)
            for title in titles
        ]
        await PostgresCatalogStore(self.pool).upsert(self.tenant_id, items, time.time())

    async def delete(self, *titles: str) -> None:
        await PostgresCatalogStore(self.pool).delete(self.tenant_id, titles, time.time())

    async def shown(self) -> set[str]:
        found = await self.index.near(self.tenant_id, HERE, 1000, 100)
        return {hit.served.item.title for hit in found.hits}

    async def shows(self, *titles: str) -> None:
        await eventually(self.shown, TIMEOUT_S, lambda found: found == set(titles))

    async def counts(self, **expected: int) -> None:
        kinds = {"impressions": IMPRESSION, "views": VIEW}
        wanted = {kinds[name]: number for name, number in expected.items()}
        counts = PostgresCountStore(self.pool)
        await eventually(lambda: counts.totals(self.tenant_id), TIMEOUT_S, lambda found: found == wanted)

    async def buried(self, *expected: tuple[str, bytes]) -> None:
        async def letters() -> list[tuple[object, ...]]:
            async with self.pool.connection() as connection:
                found = await connection.fetch("select reason, entry from dead_letters")
                return [tuple(letter) for letter in found]

        await eventually(letters, TIMEOUT_S, lambda found: found == list(expected))

    async def keys(self) -> set[str]:
        return {key.decode() async for key in self.client.scan_iter(f"nearcast:{{t{self.tenant_id}}}:*")}


@pytest.fixture
def lines_directory() -> Iterator[Path]:
    """Short enough for the path of a socket."""
    with tempfile.TemporaryDirectory(prefix="nc-") as name:
        yield Path(name)


@pytest.fixture
async def house(database: str, redis_url: str, lines_directory: Path) -> AsyncIterator[House]:
    """Both lines are whole."""
    dsn, postgres = postgres_line(database, lines_directory)
    url, redis = redis_line(redis_url, lines_directory)
    config = ProcessConfig(
        postgres=Postgres(dsn=dsn, pool_size=4),
        redis=Redis(geo_url=url),
        log=Log(shards=2, durability="memory"),
        keeper=Keeper(metrics_port=0, relay_interval_s=0.02, sweep_interval_s=0.1, claim_idle_s=1.0),
        preflight=Preflight(enforce=False),  # the tests' Postgres is quick, not safe
    )
    async with AsyncExitStack() as stack:
        pool = await open_pool(database, 2, 5.0)
        stack.push_async_callback(pool.close)
        connection, events = RedisConnection(redis_url), RedisConnection(redis_url)
        stack.push_async_callback(connection.close)
        stack.push_async_callback(events.close)
        client = await stack.enter_async_context(open_client(redis_url))
        log = RedisEventLog(events, shards=2, durability=Durability.MEMORY, choose=lambda shards: 0)
        log.start()
        stack.push_async_callback(log.close)
        for line in (postgres, redis):
            await line.mend()
            stack.push_async_callback(line.cut)
        tenant_id = await PostgresTenantStore(pool, time.time).ensure_tenant("one", "One")
        yield House(config, postgres, redis, pool, client, RedisGeoIndex(connection), log, tenant_id)


async def test_written_items_are_shown_and_deleted_ones_are_not(house: House) -> None:
    async with house.keeper():
        await house.write("a", "b")
        await house.shows("a", "b")
        await house.delete("a")
        await house.shows("b")


async def test_an_expired_item_leaves_nothing_behind(house: House) -> None:
    async with house.keeper():
        await house.write("brief", expires_at=time.time() + 5)
        await house.shows("brief")
        await house.shows()
    index = {redis_keys.part(house.tenant_id, part) for part in redis_keys.INDEX_PARTS}
    assert not index & await house.keys()


async def test_an_emptied_redis_is_filled_again(house: House) -> None:
    async with house.keeper():
        await house.write("a", "b")
        await house.shows("a", "b")
        await house.client.flushdb()
        await house.shows("a", "b")


async def test_a_redis_that_lost_its_tail_is_repaired(house: House) -> None:
    async with house.keeper():
        await house.write("a")
        await house.shows("a")
    saved = {key: await house.client.dump(key) for key in await house.keys()}
    async with house.keeper():
        await house.write("b")
        await house.delete("a")
        await house.shows("b")
    await house.client.flushdb()
    for key, value in saved.items():
        await house.client.restore(key, 0, value or b"")
    assert await house.shown() == {"a"}
    async with house.keeper():
        await house.shows("b")


async def test_a_rebuild_replaces_whatever_is_there(house: House) -> None:
    async with house.keeper():
        await house.write("a", "b")
        await house.shows("a", "b")
    await house.client.delete(redis_keys.geo(house.tenant_id))
    assert await house.shown() == set()
    told: list[str] = []
    assert await run_rebuild(house.config, told.append) == 1
    assert told == ["one"]
    assert await house.shown() == {"a", "b"}


async def test_events_appended_twice_are_counted_once(house: House) -> None:
    async with house.keeper():
        for _ in range(2):
            await house.log.append(entry(impression(1), view(1), view(2)))
        await house.log.append(entry(view(1)))
        await house.counts(impressions=2, views=2)

        async def finished() -> bool:
            pending = await house.client.xpending(redis_keys.log(house.tenant_id, 0), "keeper")
            groups = await house.client.xinfo_groups(redis_keys.log(house.tenant_id, 0))
            return bool(pending["pending"] == 0 and groups[0]["lag"] == 0)

        await eventually(finished, TIMEOUT_S)
    await house.counts(impressions=2, views=2)


async def test_what_waits_in_shards_beyond_the_number_that_is_set_is_counted(house: House) -> None:
    """Somebody made the number smaller, or has not yet made it larger everywhere."""
    assert house.config.log.shards == 2
    raw = encode_entry(entry(impression(1), view(1)))
    await house.client.xadd(redis_keys.log(house.tenant_id, 5), {"e": raw})
    async with house.keeper():
        await house.counts(impressions=1, views=1)


async def test_what_a_dead_keeper_left_unfinished_is_counted_once(house: House) -> None:
    """It read both entries; of the first it had committed the fold and not yet acknowledged it."""
    async with house.keeper():
        await house.log.append(entry(impression(1)))
        await house.counts(impressions=1)
    stream = redis_keys.log(house.tenant_id, 0)
    await house.client.xgroup_destroy(stream, "keeper")
    await house.client.xgroup_create(stream, "keeper", "0")
    await house.log.append(entry(impression(2)))
    await house.client.xreadgroup("keeper", "dead", {stream: ">"})
    assert (await house.client.xpending(stream, "keeper"))["pending"] == 2
    async with house.keeper():
        await house.counts(impressions=2)


async def test_poison_in_the_log_stops_nothing(house: House) -> None:
    async with house.keeper() as ready:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        await house.client.xadd(redis_keys.log(house.tenant_id, 0), {"e": b"\xff\xff"})
        await house.log.append(entry(impression(1)))
        await house.counts(impressions=1)
        await house.buried(("UNDECODABLE", b"\xff\xff"))


@pytest.mark.parametrize("reason", ["TIME_RANGE", "UNFORESEEN"])
async def test_an_entry_of_the_end_of_time_stops_nothing(
    house: House, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days are reckoned from it, and there are none after it: foreseen, and as if it had not been."""
    end_s = LAST_US / 1e6 - 3600
    if reason == "UNFORESEEN":
        monkeypatch.setattr("nearcast_statskeeper.faults.LAST_RECEIVED_US", LAST_US)
    late = learned(IMPRESSION, claims=claims(7, request_id=uuid7(7, end_s)))
    forged = encode_entry(entries.entry(late, at_s=end_s))
    async with house.keeper() as ready:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        for shard in (0, 1):
            await house.client.xadd(redis_keys.log(house.tenant_id, shard), {"e": forged})
            await house.log.append(entry(impression(shard + 1)))
        await house.counts(impressions=2)
        await house.buried((reason, forged), (reason, forged))


async def test_it_starts_before_postgres_and_redis_do(house: House) -> None:
    await house.postgres.cut()
    await house.redis.cut()
    await house.write("a")
    async with house.keeper() as ready:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ready.wait()), 0.3)
        await house.postgres.mend()
        await house.redis.mend()
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        await house.shows("a")


async def test_it_outlives_a_postgres_that_goes_away(house: House) -> None:
    async with house.keeper() as ready:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        await house.postgres.cut()
        await house.log.append(entry(impression(1)))
        await house.write("a")
        await house.postgres.mend()
        await house.shows("a")
        await house.counts(impressions=1)


async def test_it_outlives_a_redis_that_goes_away(house: House) -> None:
    async with house.keeper() as ready:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        await house.redis.cut()
        await house.write("a")
        await house.log.append(entry(impression(1)))
        await house.redis.mend()
        await house.shows("a")
        await house.counts(impressions=1)


async def test_it_publishes_an_epoch_gives_signs_of_life_and_says_that_it_is_ready(house: House) -> None:
    before = time.time()
    async with house.keeper() as ready:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)

        policies = PostgresPolicyStore(house.pool)
        await eventually(lambda: policies.latest_epoch(house.tenant_id), TIMEOUT_S)
        tenants = PostgresTenantStore(house.pool, time.time)
        beat = await eventually(lambda: tenants.last_beat("keeper"), TIMEOUT_S)
    assert beat is not None
    assert before <= beat.fresh_at <= beat.beat_at <= time.time()


async def test_it_sums_the_hours_of_a_day_that_is_long_past(house: House) -> None:
    async def hours() -> list[tuple[int, int]]:
        async with house.pool.connection() as connection:
            found = await connection.fetch("select bucket % 24, count from item_counts where count > 0")
            return [tuple(row) for row in found]

    day = datetime.now(UTC).date() - timedelta(30)
    first = (day - date(1970, 1, 1)).days * 24
    await Partitions(house.pool).ensure([day])
    async with house.pool.connection() as connection:
        await connection.execute(
            "insert into item_counts select $1, 10, 0, 1, $2 + hour, 1, 2, false, 3"
            " from generate_series(0, 23) hour",
            house.tenant_id,
            first,
        )
    async with house.keeper():
        await eventually(hours, TIMEOUT_S, lambda found: found == [(12, 72)])


async def test_it_stops_at_once_while_everything_is_away(house: House) -> None:
    await house.postgres.cut()
    await house.redis.cut()
    async with asyncio.timeout(10), house.keeper():
        pass
    await house.postgres.mend()
    await house.redis.mend()


async def test_two_keepers_share_the_work_and_one_may_leave(house: House) -> None:
    async with house.keeper():
        async with house.keeper():
            await house.write("a")
            await house.shows("a")
            for number in range(1, 40):
                await house.log.append(entry(impression(number)))
            await house.counts(impressions=39)
        await house.write("b")
        await house.shows("a", "b")


async def test_a_port_in_use_stops_the_start_and_is_named(house: House) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = ProcessConfig(house.config.gateway, house.config.postgres, keeper=Keeper(metrics_port=port))
    with pytest.raises(EndpointError, match=rf"port {port}.*keeper\.metrics_port"):
        await run_keeper(config, asyncio.Event())
    server.close()
    await server.wait_closed()


async def test_an_item_of_another_version_keeps_no_other_tenant_waiting(house: House) -> None:
    """The unreadable one stays where it is until a keeper that can read it comes."""
    other = await PostgresTenantStore(house.pool).ensure_tenant("other", "Other")
    await PostgresCatalogStore(house.pool).upsert(
        other, [Item(ItemId("strange"), (Place(HERE.lat, HERE.lon),))], time.time()
    )
    async with house.pool.connection() as connection:
        await connection.execute('update items set body = \'{"of": "tomorrow"}\'')
    async with house.keeper() as ready:
        await ready.wait()
        await house.write("a", "b")
        await house.shows("a", "b")
    assert not (await house.index.near(other, HERE, 1000, 100)).hits


async def test_what_was_acknowledged_to_a_tenant_is_counted_though_it_is_suspended(house: House) -> None:
    await house.log.append(entry(impression(1), view(1)))
    async with house.pool.connection() as connection:
        await connection.execute("update tenants set suspended_at = now()")
    async with house.keeper():
        await house.counts(impressions=1, views=1)
