"""What a follower reads of a real Redis that the relay writes, and what it says when that is lost."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from nearcast_catalogue.item import ServedItem
from nearcast_store import redis_keys
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.following import Everything, Followed, IndexFollower, Mark, Resync
from nearcast_store.redis_client import open_client, run
from nearcast_store.relay.applying import RedisIndexWriter
from tests.servedworlds import in_batches, served

TENANT, OTHER = 3, 4
OSLO, BERGEN = (59.911, 10.75), (60.39, 5.32)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_client(redis_url) as client:
        yield client


@pytest.fixture
def relay(client: Redis) -> RedisIndexWriter:
    return RedisIndexWriter(client)


@pytest.fixture
async def follower(redis_url: str) -> AsyncIterator[IndexFollower]:
    connection = RedisConnection(redis_url)
    yield IndexFollower(connection)
    await connection.close()


def puts(first: int, *items: ServedItem) -> list[Change]:
    return [Change(sequence, item.posting, item) for sequence, item in enumerate(items, first)]


async def everything(follower: IndexFollower) -> tuple[Mark, dict[int, ServedItem]]:
    read = await follower.read_all(TENANT)
    assert isinstance(read, Everything)
    return read.mark, {item.posting: item async for batch in read.batches for item in batch}


async def followed(follower: IndexFollower, mark: Mark, most: int = 100) -> Followed:
    answer = await follower.after(TENANT, mark, most)
    assert isinstance(answer, Followed), answer
    return answer


async def why_resync(follower: IndexFollower, mark: Mark) -> str:
    answer = await follower.after(TENANT, mark, 100)
    assert isinstance(answer, Resync), answer
    assert answer.explanation
    return answer.reason


async def test_of_an_empty_redis_nothing_can_be_read(follower: IndexFollower) -> None:
    assert await follower.read_all(TENANT) is None


async def test_a_full_read_gives_every_item_of_its_tenant_once_or_more(
    follower: IndexFollower, relay: RedisIndexWriter
) -> None:
    items = [served(n, OSLO, BERGEN) for n in range(1, 3001)]
    await relay.refill(TENANT, 40, in_batches(items))
    await relay.apply(OTHER, puts(1, served(9, OSLO)))
    mark, found = await everything(follower)
    assert mark.sequence == 40
    assert found == {item.posting: item for item in items}
    assert (await followed(follower, mark)).changes == []


async def test_changes_follow_a_full_read_without_a_gap(
    follower: IndexFollower, relay: RedisIndexWriter
) -> None:
    await relay.refill(TENANT, 40, in_batches([served(1, OSLO)]))
    mark, _ = await everything(follower)
    changes = [*puts(41, served(2, OSLO), served(1, BERGEN)), Change(43, 2, None)]
    await relay.apply(TENANT, changes)
    first = await followed(follower, mark, most=2)
    assert (first.changes, first.waiting) == (changes[:2], 1)
    rest = await followed(follower, first.mark, most=2)
    assert (rest.changes, rest.waiting, rest.mark.sequence) == (changes[2:], 0, 43)
    assert (await followed(follower, rest.mark)).mark == rest.mark


async def test_what_changed_while_everything_was_read_comes_again(
    follower: IndexFollower, relay: RedisIndexWriter
) -> None:
    """The items end as they are, whichever of them the read still saw as they were."""
    await relay.refill(TENANT, 0, in_batches([served(n, OSLO) for n in range(1, 5001)]))
    read = await follower.read_all(TENANT)
    assert read is not None
    found: dict[int, ServedItem] = {}
    sequence = 0
    async for batch in read.batches:
        found.update({item.posting: item for item in batch})
        sequence += 2
        await relay.apply(
            TENANT, [Change(sequence - 1, sequence, None), *puts(sequence, served(10_000 + sequence, BERGEN))]
        )
    for change in (await followed(follower, read.mark, 10_000)).changes:
        found.pop(change.posting, None)
        if change.served is not None:
            found[change.posting] = change.served
    assert sequence >= 4
    gone = set(range(2, sequence + 1, 2))
    born = {10_000 + number for number in gone}
    assert set(found) == (set(range(1, 5001)) - gone) | born


async def test_an_emptied_redis_is_told(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO)))
    mark, _ = await everything(follower)
    await client.flushdb()
    assert await why_resync(follower, mark) == "empty"


async def test_a_redis_at_an_older_change_is_told(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO), served(2, OSLO)))
    mark, _ = await everything(follower)
    await client.flushdb()
    await relay.apply(TENANT, puts(1, served(1, OSLO)))
    assert await why_resync(follower, mark) == "rolled_back"


async def test_another_history_that_has_caught_up_is_told(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    """Nobody looked while Redis was at an older change."""
    await relay.apply(TENANT, puts(1, served(1, OSLO), served(2, OSLO)))
    mark, _ = await everything(follower)
    await client.flushdb()
    await relay.apply(TENANT, puts(1, served(1, OSLO), served(3, BERGEN), served(4, OSLO)))
    assert await why_resync(follower, mark) == "rewritten"


async def test_the_same_history_told_again_needs_nothing(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    """A Redis that lost its tail and was brought forward again."""
    changes = puts(1, served(1, OSLO), served(2, OSLO), served(3, BERGEN))
    await relay.apply(TENANT, changes[:2])
    mark, _ = await everything(follower)
    await client.flushdb()
    await relay.apply(TENANT, changes)
    assert (await followed(follower, mark)).changes == changes[2:]


async def test_a_stream_trimmed_past_the_mark_is_told(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO)))
    mark, _ = await everything(follower)
    await relay.apply(TENANT, [Change(n, n, None) for n in range(2, 501)])
    await run(client, "XTRIM", redis_keys.changes(TENANT), "MAXLEN", 100)
    assert await why_resync(follower, mark) == "gap"
    await run(client, "XTRIM", redis_keys.changes(TENANT), "MAXLEN", 0)
    assert await why_resync(follower, mark) == "gap"


async def test_a_stream_trimmed_up_to_the_mark_is_no_gap(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    await relay.apply(TENANT, puts(1, *[served(n, OSLO) for n in range(1, 11)]))
    mark, _ = await everything(follower)
    await relay.apply(TENANT, puts(11, served(11, OSLO), served(12, OSLO)))
    await run(client, "XTRIM", redis_keys.changes(TENANT), "MAXLEN", 2)
    assert [change.sequence for change in (await followed(follower, mark)).changes] == [11, 12]


@pytest.mark.parametrize("sequence", [1, 5])
async def test_a_refill_is_told(follower: IndexFollower, relay: RedisIndexWriter, sequence: int) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO)))
    mark, _ = await everything(follower)
    for _ in range(2):
        await relay.refill(TENANT, sequence, in_batches([served(2, OSLO)]))
        assert await why_resync(follower, mark) == "refilled"
        mark, found = await everything(follower)
        assert (mark.sequence, set(found)) == (sequence, {2})
        assert (await followed(follower, mark)).changes == []


async def test_a_refill_to_an_older_change_is_told(follower: IndexFollower, relay: RedisIndexWriter) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO), served(2, OSLO)))
    mark, _ = await everything(follower)
    await relay.refill(TENANT, 1, in_batches([served(1, OSLO)]))
    assert await why_resync(follower, mark) == "rolled_back"


async def test_what_cannot_be_read_counts_as_taken_out(
    follower: IndexFollower, relay: RedisIndexWriter, client: Redis
) -> None:
    await relay.apply(TENANT, puts(1, served(1, OSLO), served(2, OSLO)))
    await client.hset(redis_keys.items(TENANT), "1", b"\xc1 no item")
    mark, found = await everything(follower)
    assert set(found) == {2}
    fields = ("posting", 2, "item", b"\xc1 no item")
    await run(client, "XADD", redis_keys.changes(TENANT), "3-0", *fields)
    await run(client, "SET", redis_keys.position(TENANT), 3)
    answer = await followed(follower, mark)
    assert (answer.changes, answer.unreadable) == ([Change(3, 2, None)], 1)


async def test_without_redis_the_follower_says_so(tmp_path: object) -> None:
    connection = RedisConnection(f"unix://{tmp_path}/nobody.sock")
    follower = IndexFollower(connection)
    with pytest.raises(IndexUnavailableError):
        await follower.read_all(TENANT)
    with pytest.raises(IndexUnavailableError):
        await follower.after(TENANT, Mark(b"1-0", b""), 10)
    await connection.close()
