"""Preflight on real servers of its own, set unsafe one setting at a time, before a start and under way."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from nearcast_cli.embedded import EmbeddedServers, Endpoints
from nearcast_config.process import Log, Postgres, Preflight, ProcessConfig
from nearcast_server.app import run_gateway
from nearcast_statskeeper.app import run_keeper
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.migration import migrate
from nearcast_store.postgres import open_pool
from nearcast_store.preflight.finding import Finding, Severity, UnsafeStoreError
from nearcast_store.preflight.inspection import inspections
from tests.acceptance.running import nearcast
from tests.audience import gather_audience
from tests.cables import laid
from tests.gateways import Gateway, eventually, make_config, running, running_gateway, running_keeper
from tests.services import database_name, new_database, open_directory

SOON_S = 60.0
ALL = {"CatalogService", "RecommendService", "EventService", "StatsService"}
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def own() -> Iterator[Endpoints]:
    """Servers of our own, as safe as they come, to be spoilt."""
    with open_directory() as directory, EmbeddedServers(directory / "state") as endpoints:
        yield endpoints


@pytest.fixture(scope="module")
async def redis(own: Endpoints) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(own.redis_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def template(own: Endpoints) -> AsyncIterator[str]:
    """The name of a migrated database, for making others."""
    async with new_database(own.postgres_dsn) as made:
        await migrate(made)
        yield database_name(made)


@pytest.fixture
async def dsn(own: Endpoints, template: str) -> AsyncIterator[str]:
    """A migrated database with the partitions of today."""
    async with new_database(own.postgres_dsn, template) as made:
        pool = await open_pool(made, 1, 10.0)
        await Partitions(pool).ensure_around(datetime.now(UTC).date())
        await pool.close()
        yield made


@pytest.fixture
def config(own: Endpoints, dsn: str) -> ProcessConfig:
    made = make_config(dsn, own.redis_url)
    return msgspec.structs.replace(made, preflight=Preflight(interval_s=0.1))


@dataclass(frozen=True)
class Spoilt:
    """One setting of Redis, and what it becomes."""

    code: str
    settings: Mapping[str, str]
    durability: str = "everysec"


SPOILT_REDIS = (
    Spoilt("REDIS_AOF_OFF", {"appendonly": "no"}),
    Spoilt("REDIS_AOF_NOT_SYNCED", {"appendfsync": "no"}),
    Spoilt("REDIS_AOF_PAUSES", {"no-appendfsync-on-rewrite": "yes"}),
    Spoilt("REDIS_EVICTION", {"maxmemory-policy": "allkeys-lru"}),
    Spoilt("REDIS_EVICTION", {"maxmemory-policy": "volatile-lru"}, "memory"),
)


@asynccontextmanager
async def spoilt(redis: RedisConnection, settings: Mapping[str, str]) -> AsyncIterator[None]:
    """Redis set like this, and as it was afterwards."""
    before = {name: (await redis.execute("CONFIG", "GET", name))[1] for name in settings}
    for name, value in settings.items():
        await redis.execute("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            await redis.execute("CONFIG", "SET", name, value)


async def sql(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def found(config: ProcessConfig) -> dict[str, Finding]:
    """By code."""
    each = await asyncio.gather(*(one.look() for one in inspections(config, "keeper")))
    return {one.code: one for few in each for one in few}


def with_durability(config: ProcessConfig, durability: str) -> ProcessConfig:
    return msgspec.structs.replace(config, log=Log(durability=durability))  # type: ignore[arg-type]


def by_role(config: ProcessConfig, role: str) -> ProcessConfig:
    parts = urlsplit(config.postgres.dsn)
    dsn = parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()
    return msgspec.structs.replace(config, postgres=Postgres(dsn=dsn, pool_size=4))


async def test_what_up_starts_is_safe(config: ProcessConfig) -> None:
    assert await found(config) == {}
    assert await found(with_durability(config, "fsync")) == {}


@pytest.mark.parametrize("case", SPOILT_REDIS, ids=lambda case: f"{case.code}-{case.durability}")
async def test_each_unsafe_setting_of_redis_is_found_and_its_fix_heals(
    config: ProcessConfig, redis: RedisConnection, case: Spoilt
) -> None:
    config = with_durability(config, case.durability)
    async with spoilt(redis, case.settings):
        findings = await found(config)
        assert list(findings) == [case.code]
        assert findings[case.code].severity is Severity.REFUSE
        command = findings[case.code].fix.partition(" && ")[0].split("CONFIG SET ")[1]
        await redis.execute("CONFIG", "SET", *command.split())
        assert await found(config) == {}


async def test_memory_durability_needs_no_file(config: ProcessConfig, redis: RedisConnection) -> None:
    async with spoilt(redis, {"appendonly": "no"}):
        assert await found(with_durability(config, "memory")) == {}
        assert "REDIS_AOF_OFF" in await found(with_durability(config, "fsync"))


async def test_a_replica_is_refused(config: ProcessConfig, redis: RedisConnection) -> None:
    await redis.execute("REPLICAOF", "127.0.0.1", "1")
    try:
        assert "REDIS_REPLICA" in await found(config)
    finally:
        await redis.execute("REPLICAOF", "NO", "ONE")
    assert await found(config) == {}


async def test_of_a_redis_that_hides_its_settings_the_rest_is_checked(
    config: ProcessConfig, redis: RedisConnection
) -> None:
    await redis.execute("ACL", "SETUSER", "tenant", "on", ">word", "~*", "&*", "+@all", "-config")
    path = config.redis.geo_url.removeprefix("unix://")
    hiding = msgspec.structs.replace(
        config, redis=msgspec.structs.replace(config.redis, geo_url=f"unix://tenant:word@{path}")
    )
    try:
        findings = await found(hiding)
        assert list(findings) == ["REDIS_UNCHECKED"]
        assert findings["REDIS_UNCHECKED"].severity is Severity.WARN
        assert "appendfsync, no-appendfsync-on-rewrite:" in findings["REDIS_UNCHECKED"].what
        assert "word" not in findings["REDIS_UNCHECKED"].told()
        assert "REDIS_FSYNC_UNREACHABLE" not in await found(with_durability(hiding, "fsync"))
        async with spoilt(redis, {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}):
            assert {"REDIS_AOF_OFF", "REDIS_EVICTION"} <= set(await found(hiding))
            await redis.execute("ACL", "SETUSER", "tenant", "-info")
            blind = await found(hiding)
            assert set(blind) == {"REDIS_AOF_OFF", "REDIS_UNCHECKED"}
            assert "role" in blind["REDIS_UNCHECKED"].what
    finally:
        await redis.execute("ACL", "DELUSER", "tenant")


async def test_two_redises_are_judged_by_what_each_does(
    config: ProcessConfig, redis: RedisConnection, redis_url: str
) -> None:
    """The index of the second one is safe enough without a file."""
    both = msgspec.structs.replace(
        config, redis=msgspec.structs.replace(config.redis, geo_url=config.redis.geo_url, log_url=redis_url)
    )
    async with spoilt(redis, {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}):
        findings = await found(both)
    assert {code: finding.stores for code, finding in findings.items()} == {"REDIS_EVICTION": ("geo",)}


async def test_an_unsafe_commit_of_one_role_is_found_for_that_role_alone(
    config: ProcessConfig, dsn: str
) -> None:
    name = database_name(dsn)
    await sql(dsn, f"create role clerk_{name} login", f"grant select on schema_migrations to clerk_{name}")
    clerk = by_role(config, f"clerk_{name}")
    try:
        await sql(dsn, f"alter role clerk_{name} set synchronous_commit = off")
        findings = await found(clerk)
        assert list(findings) == ["POSTGRES_SYNCHRONOUS_COMMIT"]
        assert await found(config) == {}
        fix = findings["POSTGRES_SYNCHRONOUS_COMMIT"].fix.partition(' -c "')[2].removesuffix('"')
        await sql(dsn, fix.replace('\\"', '"'))
        assert await found(clerk) == {}
    finally:
        await sql(dsn, f"drop owned by clerk_{name}", f"drop role clerk_{name}")


@pytest.mark.parametrize(
    ("setting", "code"), [("fsync", "POSTGRES_FSYNC"), ("full_page_writes", "POSTGRES_FULL_PAGE_WRITES")]
)
async def test_an_unsafe_server_is_found_and_heals(config: ProcessConfig, setting: str, code: str) -> None:
    dsn = config.postgres.dsn
    try:
        await sql(dsn, f"alter system set {setting} = off", "select pg_reload_conf()")
        await eventually(lambda: found(config), SOON_S, lambda codes: list(codes) == [code])
    finally:
        await sql(dsn, f"alter system reset {setting}", "select pg_reload_conf()")
    await eventually(lambda: found(config), SOON_S, lambda codes: codes == {})


async def test_partitions_schema_and_encoding_are_looked_at(config: ProcessConfig, own: Endpoints) -> None:
    dsn = config.postgres.dsn
    today = datetime.now(UTC).date()
    await sql(dsn, f"drop table events_{today:%Y%m%d}", "create table rest partition of events default")
    findings = await found(config)
    assert set(findings) == {"POSTGRES_PARTITIONS", "POSTGRES_DEFAULT_PARTITION"}
    assert findings["POSTGRES_PARTITIONS"].what == f"the ledger has no partition for {today}"
    assert "rest" in findings["POSTGRES_DEFAULT_PARTITION"].what

    name = f"latin_{database_name(dsn)}"
    await sql(own.postgres_dsn, f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        foreign = dsn.replace(database_name(dsn), name)
        findings = await found(msgspec.structs.replace(config, postgres=Postgres(dsn=foreign)))
        assert set(findings) == {"POSTGRES_ENCODING", "POSTGRES_SCHEMA"}
    finally:
        await sql(own.postgres_dsn, f"drop database {name} with (force)")


async def test_a_store_that_is_away_is_said_so(config: ProcessConfig) -> None:
    async with laid(config.redis.geo_url) as (line, url), laid(config.postgres.dsn) as (cable, dsn):
        await line.cut()
        cable.hold()
        cut = msgspec.structs.replace(
            config,
            redis=msgspec.structs.replace(config.redis, geo_url=url),
            postgres=msgspec.structs.replace(config.postgres, dsn=dsn, command_timeout_s=0.3),
        )
        findings = await found(cut)
        assert {code: finding.severity for code, finding in findings.items()} == {
            "REDIS_UNREACHABLE": Severity.WAIT,
            "POSTGRES_UNREACHABLE": Severity.WAIT,
        }


async def serving(gateway: Gateway) -> set[str]:
    """The services whose health is good."""
    stub = HealthStub(gateway.channel)
    asked = {name: health_pb2.HealthCheckRequest(service=f"nearcast.v1.{name}") for name in ALL}
    return {name for name in ALL if (await stub.Check(asked[name])).status == SERVING}


async def test_a_gateway_does_not_become_ready_on_an_unsafe_store(
    config: ProcessConfig, redis: RedisConnection
) -> None:
    async with spoilt(redis, {"maxmemory-policy": "allkeys-lru"}):
        with pytest.raises(UnsafeStoreError, match=r"REDIS_EVICTION.*\n.*why: .*\n.*fix: redis-cli -s"):
            async with running(lambda stop, tell: run_gateway(config, stop, tell)):
                pass
        with pytest.raises(UnsafeStoreError, match="REDIS_EVICTION"):
            async with running(lambda stop, tell: run_keeper(config, stop, tell)):
                pass
        lenient = msgspec.structs.replace(config, preflight=Preflight(enforce=False, interval_s=0.1))
        async with running_gateway(lenient) as gateway:
            assert await serving(gateway) == ALL
            assert 'preflight_findings{severity="refuse"} 1' in await gateway.metrics()


async def test_a_running_gateway_ceases_to_be_ready_and_heals(
    config: ProcessConfig, redis: RedisConnection
) -> None:
    async with running_gateway(config) as gateway:
        assert await serving(gateway) == ALL
        async with spoilt(redis, {"appendonly": "no"}):
            await eventually(lambda: serving(gateway), SOON_S, lambda now: now == ALL - {"EventService"})
            told = await gateway.http("/readyz")
            assert told.startswith("HTTP/1.1 503")
            assert "log is unsafe: REDIS_AOF_OFF" in told
        await eventually(lambda: serving(gateway), SOON_S, lambda now: now == ALL)
        assert (await gateway.http("/readyz")).startswith("HTTP/1.1 200")
        dsn, name = config.postgres.dsn, database_name(config.postgres.dsn)
        await sql(dsn, f'alter database "{name}" set synchronous_commit = off')
        good = {"RecommendService", "EventService"}
        await eventually(lambda: serving(gateway), SOON_S, lambda now: now == good)
        await sql(dsn, f'alter database "{name}" reset synchronous_commit')
        await eventually(lambda: serving(gateway), SOON_S, lambda now: now == ALL)


async def test_a_gateway_waits_for_a_store_that_is_away(config: ProcessConfig) -> None:
    async with laid(config.redis.geo_url) as (line, url):
        await line.cut()
        waiting = msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, geo_url=url))
        async with running_gateway(waiting, config) as gateway:
            assert await serving(gateway) == {"CatalogService", "StatsService"}
            assert "is not checked yet" in await gateway.http("/readyz")
            await line.mend()
            await eventually(lambda: serving(gateway), SOON_S, lambda now: now == ALL)


async def test_a_keeper_counts_nothing_while_postgres_forgets(config: ProcessConfig) -> None:
    """The events wait in the log, and are counted once it is safe again, over connections that are new."""
    dsn, name, port = config.postgres.dsn, database_name(config.postgres.dsn), free_port()
    keeper = msgspec.structs.replace(config.keeper, metrics_port=port)
    config = msgspec.structs.replace(config, keeper=keeper)
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(running_gateway(config))
        await stack.enter_async_context(running_keeper(config))
        audience = await gather_audience(gateway, await gateway.new_tenant("house"), "a")
        counts = PostgresCountStore(gateway.pool)

        async def counted() -> int:
            return sum((await counts.totals(audience.tenant.tenant_id)).values())

        async def idle_attempts() -> float:
            page = await http(port, "/metrics")
            return float((page.partition('failures_total{part="consumer"} ')[2].split() or ["0"])[0])

        await audience.act("a", people=3)
        await eventually(counted, SOON_S, lambda number: number == 3)
        await sql(dsn, f'alter database "{name}" set synchronous_commit = off')
        told = await eventually(lambda: http(port, "/readyz"), SOON_S, lambda page: " 503 " in page)
        assert "POSTGRES_SYNCHRONOUS_COMMIT" in told
        before = await eventually(idle_attempts, SOON_S)
        await audience.act("a", people=4)
        await eventually(idle_attempts, SOON_S, lambda attempts: attempts >= before + 2)
        assert await counted() == 3
        await sql(dsn, f'alter database "{name}" reset synchronous_commit')
        await eventually(counted, SOON_S, lambda number: number == 7)
        await eventually(lambda: http(port, "/readyz"), SOON_S, lambda page: " 200 " in page)


def test_the_command_says_all_of_it(own: Endpoints, config: ProcessConfig) -> None:
    where = ("--postgres-dsn", config.postgres.dsn, "--redis-url", own.redis_url)
    done = nearcast("preflight", *where, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["safe"] is True
    assert told["findings"] == []  # what `up` starts has a limit of memory


async def test_command_gateway_and_keeper_refuse_in_words(
    own: Endpoints, config: ProcessConfig, redis: RedisConnection
) -> None:
    where = ("--postgres-dsn", config.postgres.dsn, "--redis-url", own.redis_url)
    settings = {
        "NEARCAST_PREFLIGHT__ENFORCE": "true",
        "NEARCAST_GATEWAY__METRICS_PORT": "0",
        "NEARCAST_KEEPER__METRICS_PORT": "0",
    }
    async with spoilt(redis, {"appendonly": "no"}):
        asked, gateway, keeper = await asyncio.gather(
            asyncio.to_thread(nearcast, "preflight", *where),
            asyncio.to_thread(nearcast, "serve", *where, "--grpc-port", "0", settings=settings),
            asyncio.to_thread(nearcast, "keeper", *where, settings=settings),
        )
    assert (asked.returncode, gateway.returncode, keeper.returncode) == (1, 1, 1)
    for written in (asked.stdout, gateway.stderr, keeper.stderr):
        assert "REFUSE REDIS_AOF_OFF (log): appendonly is no" in written
        assert "  why: " in written
        assert (
            f"  fix: redis-cli -s {own.redis_url.removeprefix('unix://')} CONFIG SET appendonly yes"
            in written
        )
    assert "(STORE_UNSAFE)" in gateway.stderr
    assert "--unsafe" in gateway.stderr


def test_the_command_says_what_is_away(config: ProcessConfig) -> None:
    where = ("--postgres-dsn", config.postgres.dsn, "--redis-url", "redis://127.0.0.1:1/0")
    done = nearcast("preflight", *where, "--json")
    assert done.returncode == 1
    assert [finding["code"] for finding in json.loads(done.stdout)["findings"]] == ["REDIS_UNREACHABLE"]


async def http(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
