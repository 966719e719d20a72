"""What the relay writes into a real Redis, and when it refuses to."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point
from nearcast_store import redis_keys
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.index.serving import unpack
from nearcast_store.redis_client import open_client, run
from nearcast_store.relay.applying import RedisIndexWriter, StaleRelayError
from tests.servedworlds import in_batches, seen, served

TENANT, OTHER = 3, 4
HERE = Point(59.91, 10.75)
OSLO, BERGEN, POLE = (59.911, 10.75), (60.39, 5.32), (89.0, 0.0)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_client(redis_url) as client:
        yield client


@pytest.fixture
def writer(client: Redis) -> RedisIndexWriter:
    return RedisIndexWriter(client)


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


async def keys(client: Redis) -> set[str]:
    return {key.decode() for key in await run(client, "KEYS", "*")}


def puts(first: int, *items: ServedItem) -> list[Change]:
    return [Change(sequence, item.posting, item) for sequence, item in enumerate(items, first)]


async def since(client: Redis, last: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """What a follower that has read up to `last` reads next."""
    ((_, entries),) = await run(client, "XREAD", "STREAMS", redis_keys.changes(TENANT), last)
    return list(entries)


async def followed(client: Redis) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(name.decode(), fields) for name, fields in await since(client, "0")]


async def test_an_empty_redis_has_no_position(writer: RedisIndexWriter) -> None:
    assert await writer.position(TENANT) is None


async def test_changes_move_the_position_and_reach_followers(writer: RedisIndexWriter, client: Redis) -> None:
    item = served(1, OSLO)
    await writer.apply(TENANT, [Change(1, 1, item), Change(2, 2, None)])
    assert await writer.position(TENANT) == 2
    (first, put), (second, gone) = await followed(client)
    assert (first, second) == ("1-0", "2-0")
    assert (put[b"posting"], unpack(put[b"item"])) == (b"1", item)
    assert gone == {b"posting": b"2"}


async def test_items_that_are_taken_out_leave_nothing_behind(writer: RedisIndexWriter, client: Redis) -> None:
    items = [served(1, OSLO, BERGEN, POLE), served(2, OSLO, reach_m=700.0), served(3, POLE, reach_m=90_000.0)]
    await writer.apply(TENANT, puts(1, *items))
    assert await client.smembers(redis_keys.polar(TENANT)) == {b"1.2", b"3.0"}
    await writer.apply(TENANT, [Change(n + 3, n, None) for n in (1, 2, 3)])
    assert await keys(client) == {redis_keys.position(TENANT), redis_keys.changes(TENANT)}


async def test_an_item_with_another_reach_is_in_another_set(writer: RedisIndexWriter, client: Redis) -> None:
    for sequence, reach_m in enumerate([None, 700.0, 90_000.0, None], 1):
        await writer.apply(TENANT, puts(sequence, served(1, OSLO, BERGEN, reach_m=reach_m)))
        sets = {key for key in await keys(client) if ":geo" in key or ":reach" in key}
        bucket = {None: "geo", 700.0: "reach:0", 90_000.0: "reach:7"}[reach_m]
        assert sets == {redis_keys.part(TENANT, bucket)}
        assert await client.zcard(sets.pop()) == 2


async def test_a_posting_that_changes_twice_in_a_batch_ends_as_last_told(
    writer: RedisIndexWriter, client: Redis
) -> None:
    changes = [
        *puts(1, served(1, OSLO, BERGEN), served(1, BERGEN)),
        *puts(3, served(2, OSLO)),
        Change(4, 2, None),
    ]
    await writer.apply(TENANT, changes)
    assert await client.zrange(redis_keys.geo(TENANT), 0, -1) == [b"1.0"]
    assert await client.hkeys(redis_keys.items(TENANT)) == [b"1"]
    assert len(await followed(client)) == 4


async def test_a_relay_that_others_overtook_changes_nothing(writer: RedisIndexWriter, client: Redis) -> None:
    await writer.apply(TENANT, puts(1, served(1, OSLO), served(2, OSLO)))
    with pytest.raises(StaleRelayError, match="at 2 of tenant 3, expected is 1"):
        await writer.apply(TENANT, [Change(2, 1, None)])
    with pytest.raises(StaleRelayError):
        await writer.apply(TENANT, [Change(4, 1, None)])
    assert await writer.position(TENANT) == 2
    assert await client.hlen(redis_keys.items(TENANT)) == 2


async def test_a_relay_that_is_overtaken_while_it_reads_changes_nothing(
    writer: RedisIndexWriter, client: Redis, redis_url: str
) -> None:
    """The other one moves the position after this one has looked at it."""
    await writer.apply(TENANT, puts(1, served(1, OSLO)))

    async def overtaken() -> AsyncIterator[list[ServedItem]]:
        yield [served(9, BERGEN)]
        await writer.apply(TENANT, puts(2, served(2, OSLO)))

    with pytest.raises(StaleRelayError, match="meanwhile"):
        await writer.refill(TENANT, 1, overtaken())
    assert await client.hkeys(redis_keys.items(TENANT)) == [b"1", b"2"]
    left = {key for key in await keys(client) if ":shadow:" in key}
    assert left
    assert all([0 < await client.ttl(key) <= 600 for key in left])


async def test_a_gap_in_the_sequences_is_refused(writer: RedisIndexWriter) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        await writer.apply(TENANT, [Change(1, 1, None), Change(3, 1, None)])


async def test_an_item_that_cannot_be_read_any_more_is_still_taken_out(
    writer: RedisIndexWriter, client: Redis
) -> None:
    await writer.apply(TENANT, puts(1, served(1, OSLO, BERGEN, POLE, reach_m=90_000.0)))
    await client.hset(redis_keys.items(TENANT), "1", b"\xc1 no item")
    await writer.apply(TENANT, [Change(2, 1, None)])
    assert await keys(client) == {redis_keys.position(TENANT), redis_keys.changes(TENANT)}


async def test_a_refill_replaces_all_of_its_own_tenant(writer: RedisIndexWriter, client: Redis) -> None:
    await writer.apply(TENANT, puts(1, served(1, OSLO, reach_m=700.0), served(2, POLE), served(3, OSLO)))
    await writer.apply(OTHER, puts(1, served(8, OSLO)))
    await writer.refill(TENANT, 40, in_batches([served(n, OSLO) for n in range(10, 1300)]))
    assert await writer.position(TENANT) == 40
    kept = {name: redis_keys.part(TENANT, name) for name in ("items", "geo", "position", "changes")}
    assert {key for key in await keys(client) if "{t3}" in key} == set(kept.values())
    assert await client.hlen(kept["items"]) == await client.zcard(kept["geo"]) == 1290
    assert [await client.ttl(key) for key in kept.values()] == [-1, -1, -1, -1]
    assert await writer.position(OTHER) == 1
    assert await client.hlen(redis_keys.items(OTHER)) == 1


async def test_after_a_refill_changes_follow_its_sequence(
    writer: RedisIndexWriter, connection: RedisConnection
) -> None:
    await writer.refill(TENANT, 40, in_batches([served(1, OSLO)]))
    await writer.apply(TENANT, puts(41, served(1, BERGEN), served(2, OSLO)))
    found = await RedisGeoIndex(connection).near(TENANT, HERE, 5000.0, 10)
    assert seen(found) == [("item-2", 0)]


async def test_a_refill_of_nothing_leaves_nothing(writer: RedisIndexWriter, client: Redis) -> None:
    await writer.apply(TENANT, puts(1, served(1, OSLO)))
    await writer.refill(TENANT, 0, in_batches([]))
    assert await keys(client) == {redis_keys.position(TENANT), redis_keys.changes(TENANT)}
    assert await writer.position(TENANT) == 0
    await writer.apply(TENANT, puts(1, served(1, OSLO)))


@pytest.mark.parametrize("sequence", [1, 2, 5])
async def test_every_refill_reaches_a_follower_that_is_not_beyond_it(
    writer: RedisIndexWriter, client: Redis, sequence: int
) -> None:
    await writer.apply(TENANT, puts(1, served(1, OSLO)))
    last = "1-0"
    for _ in range(3):
        await writer.refill(TENANT, sequence, in_batches([served(1, OSLO)]))
        entries = await since(client, last)
        assert [fields for _, fields in entries] == [{b"reset": b"1"}]
        last = entries[-1][0].decode()
    await writer.apply(TENANT, puts(sequence + 1, served(2, OSLO)))
    entries = await since(client, last)
    assert entries[0][0] == f"{sequence + 1}-0".encode()


async def test_trimming_keeps_the_newest_changes(writer: RedisIndexWriter, client: Redis) -> None:
    await writer.apply(TENANT, [Change(n, n, None) for n in range(1, 1001)])
    await writer.trim_changes(TENANT, 100)
    entries = await followed(client)
    assert 100 <= len(entries) < 400
    assert entries[-1][0] == "1000-0"


async def test_without_redis_the_writer_says_so(tmp_path: object) -> None:
    async with open_client(f"unix://{tmp_path}/nobody.sock") as client:
        writer = RedisIndexWriter(client)
        with pytest.raises(IndexUnavailableError):
            await writer.position(TENANT)
        with pytest.raises(IndexUnavailableError):
            await writer.apply(TENANT, [Change(1, 1, None)])
