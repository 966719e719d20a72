"""What becomes of the replica when the index loses something, outgrows it, or is to be judged otherwise."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from nearcast.v1 import catalog_pb2
from nearcast_config.policy import Kind, Policy
from nearcast_replica.answering import answerer
from nearcast_store import redis_keys
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import eventually, item, running_keeper
from tests.replicahouse import LAG_S, REPLICA_REASONS, SOON_S, Caller, House, Scribe, open_house, reasons

OLD = tuple(f"old-{number}" for number in range(30))
LATER = (*OLD[1:], "new")
MANY = 6000
LOOKS_AGAIN_S = 3.0


@pytest.fixture(scope="module", autouse=True)
def _machine_code() -> None:
    """Made, or loaded, before anybody is timed: that takes long on a busy machine."""
    answerer()


@pytest.fixture
async def house(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Nobody keeps it but who is begun by the test."""
    async with open_house(database, redis_url, tmp_path) as house:
        yield house


async def saved(house: House) -> dict[bytes, bytes]:
    """All that Redis holds."""
    redis = house.gateway.redis
    keys = await redis.execute("KEYS", "*")
    return {key: await redis.execute("DUMP", key) for key in keys}


async def put_back(house: House, kept: dict[bytes, bytes]) -> None:
    """Redis as it was then, in one moment: as a new start on an older file."""
    restored = [("RESTORE", key, 0, dumped) for key, dumped in kept.items()]
    await house.gateway.redis.pipeline([("MULTI",), ("FLUSHDB",), *restored, ("EXEC",)])


async def resyncs(house: House) -> float:
    page = await house.gateway.metrics()
    (line,) = [each for each in page.splitlines() if each.startswith("nearcast_server_replica_resyncs ")]
    return float(line.rpartition(" ")[2])


async def put(house: House, *item_ids: str) -> None:
    await house.upsert(*(item(item_id) for item_id in item_ids))


async def shown(house: House, *item_ids: str) -> None:
    """Return once a fresh replica answers with these alone, and nothing is said against it."""

    async def look() -> set[str]:
        answer = await house.from_replica(limit=100)
        return {found.item_id for found in answer.items} | (reasons(answer) & REPLICA_REASONS)

    await eventually(look, SOON_S, lambda found: found == set(item_ids))


async def one_less_one_more(house: House) -> None:
    """From the old items to the later ones."""
    await house.gateway.call(house.tenant, catalog_pb2.DeleteItemsRequest(item_ids=OLD[:1]))
    await put(house, "new")


async def test_a_flushed_redis_is_done_without_until_it_is_filled_again(house: House) -> None:
    """Also for longer than the replica may lag, as when nobody is there to fill it."""
    async with Scribe(house.config):
        async with running_keeper(house.direct):
            await put(house, *OLD)
            await shown(house, *OLD)
        before = await resyncs(house)
        async with Caller(house, *OLD) as caller:
            await house.gateway.redis.execute("FLUSHDB")
            await caller.hears("REPLICA_STALE")
            assert (await house.gateway.http("/readyz")).startswith("HTTP/1.1 200")
            async with running_keeper(house.direct):
                caller.may_see(*OLD, "new")
                await put(house, "new")
                await caller.sees(*OLD, "new")
                await shown(house, *OLD, "new")
        assert not caller.foreign
        assert await resyncs(house) > before


async def test_a_redis_that_went_back_in_time_and_is_repaired_takes_nothing_from_answers(
    house: House,
) -> None:
    """What it forgot stays visible, and what was taken out does not come back."""
    async with Scribe(house.config), running_keeper(house.direct):
        await put(house, *OLD)
        await shown(house, *OLD)
        older = await saved(house)
        await one_less_one_more(house)
        await shown(house, *LATER)
        before = await resyncs(house)
        async with Caller(house, *LATER) as caller:
            await put_back(house, older)
            caller.may_see(*LATER, "newer")
            await put(house, "newer")
            await caller.sees(*LATER, "newer")
            await shown(house, *LATER, "newer")
        assert not caller.foreign
        # It is the same history again: nothing had to be read anew.
        assert await resyncs(house) == before


async def test_a_redis_that_went_back_in_time_for_good_is_believed_after_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_store.index.replicating.REPAIRED_WITHIN_S", 2 * LAG_S)
    async with Scribe(house.config):
        async with running_keeper(house.direct):
            await put(house, *OLD)
            await shown(house, *OLD)
            older = await saved(house)
            await one_less_one_more(house)
            await shown(house, *LATER)
        before = await resyncs(house)
        async with Caller(house, *LATER) as caller:
            await put_back(house, older)
            await caller.hears("REPLICA_STALE")
            assert not caller.foreign
            caller.may_see(*OLD)
            await caller.sees(*OLD)
            await shown(house, *OLD)
        assert not caller.foreign
        assert await resyncs(house) == before + 1


async def test_changes_that_are_gone_before_they_were_read_are_made_up_for(house: House) -> None:
    """The stream is trimmed while the way to it is held up."""
    async with Scribe(house.config), running_keeper(house.direct):
        await put(house, *OLD)
        await shown(house, *OLD)
        before = await resyncs(house)
        redis, stream = house.gateway.redis, redis_keys.changes(house.tenant.tenant_id)
        length = await redis.execute("XLEN", stream)
        async with Caller(house, *OLD) as caller:
            house.redis.hold()
            caller.may_see(*LATER)
            caller.may_see(*OLD[1:])
            await one_less_one_more(house)

            async def carried() -> int:
                return int(await redis.execute("XLEN", stream))

            await eventually(carried, SOON_S, lambda count: count >= length + 2)
            await redis.execute("XTRIM", stream, "MAXLEN", 0)
            await house.redis.mend()
            await caller.sees(*LATER)
            await shown(house, *LATER)
        assert not caller.foreign
        assert await resyncs(house) == before + 1


async def test_a_policy_with_one_more_kind_is_followed_without_a_pause(house: House) -> None:
    async with Scribe(house.config), running_keeper(house.direct):
        await put(house, *OLD)
        await shown(house, *OLD)
        first = Policy()
        share = Kind(weight=3.0, prior_mean=0.05, prior_strength=40.0)
        policy = msgspec.structs.replace(first, kinds={**first.kinds, "share": share})

        async def judged() -> dict[str, float]:
            """What the replica was told of each kind, beyond the prior."""
            answer = await house.from_replica(explain=True, limit=100)
            assert {found.item_id for found in answer.items} == set(OLD)
            told: dict[str, float] = {}
            for kind in (kind for found in answer.items for kind in found.explanation.kinds):
                beyond = kind.posterior_a - kind.prior_mean * kind.prior_strength
                told[kind.kind] = max(beyond, told.get(kind.kind, 0.0))
            return told

        async with Caller(house, *OLD) as caller:
            await PostgresPolicyStore(house.gateway.pool).apply(house.tenant.tenant_id, policy, "tests", "")
            await eventually(judged, SOON_S, lambda told: told.keys() == policy.kinds.keys())
            await house.act((await house.ask()).items[0].reward_token, "share")
            await eventually(judged, SOON_S, lambda told: told["share"] > 0.1)
            await shown(house, *OLD)
        assert not caller.foreign


@pytest.fixture
async def narrow_house(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """With memory for some thousand items, and a scribe that looks again after a moment."""
    monkeypatch.setattr("nearcast_server.scribing.DECLINED_S", LOOKS_AGAIN_S)
    async with open_house(database, redis_url, tmp_path, memory_mib=2) as house:
        yield house


async def test_a_catalogue_that_does_not_fit_is_answered_from_redis_until_it_does(
    narrow_house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house = narrow_house
    far = [f"far-{number}" for number in range(MANY)]
    declined = 'nearcast_server_replica_declined_tenants{reason="memory"}'
    async with running_keeper(house.direct):
        for first in range(0, MANY, 500):
            await house.upsert(*(item(item_id, -40.0) for item_id in far[first : first + 500]))
        await put(house, *OLD)

        async def indexed() -> int:
            key = redis_keys.items(house.tenant.tenant_id)
            return int(await house.gateway.redis.execute("HLEN", key))

        await eventually(indexed, SOON_S, lambda count: count == MANY + len(OLD))
        async with Caller(house, *OLD) as caller, Scribe(house.config):
            status = await eventually(lambda: house.gateway.http("/readyz"), SOON_S, lambda s: "Redis" in s)
            assert status.startswith("HTTP/1.1 200")
            assert "its items do not fit into replica.memory_mib" in status
            assert f"{declined} 1.0" in await house.gateway.metrics()
            caller.said.clear()
            looks, since = await counted(house), asyncio.get_running_loop().time()
            await eventually(lambda: answered(caller), SOON_S, lambda count: count >= 100)
            # The first may have been under way when that was told.
            assert not any(said & REPLICA_REASONS for said in caller.said[1:])
            passed_s = asyncio.get_running_loop().time() - since
            more = await counted(house) - looks
            assert more <= passed_s / LOOKS_AGAIN_S + 1
            told = [
                vars(record)["fields"]["reason"]
                for record in caplog.records
                if record.message == "scribe.declined"
            ]
            assert len(told) == 1
            assert "MiB of 2 in replica.memory_mib are left" in told[0]
            for first in range(0, MANY, 500):
                gone = catalog_pb2.DeleteItemsRequest(item_ids=far[first : first + 500])
                await house.gateway.call(house.tenant, gone)
            await shown(house, *OLD)
            assert f"{declined} 0.0" in await house.gateway.metrics()
            assert "Redis" not in await house.gateway.http("/readyz")
        assert not caller.foreign


async def counted(house: House) -> int:
    """How often somebody has asked how many items there are."""
    raw = await house.gateway.redis.execute("INFO", "commandstats")
    lines = [line for line in raw.decode().splitlines() if line.startswith("cmdstat_hlen:")]
    return int(lines[0].partition("calls=")[2].partition(",")[0]) if lines else 0


async def answered(caller: Caller) -> int:
    return len(caller.said)
