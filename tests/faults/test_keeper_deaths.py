"""Keepers that die, freeze, hang or meet: each event is counted once, whoever does it."""

from typing import Any

import asyncpg
import pytest

from nearcast_statskeeper.folding import MOST_DELIVERIES
from nearcast_store import redis_keys
from tests.faults.house import CLAIM_IDLE_S, ITEMS, House
from tests.faults.proxy import Fate, Trap, at_commit
from tests.faults.traffic import Shown, attributed
from tests.gateways import eventually

STEPS = ("after_read", "after_copy", "before_commit", "after_commit_before_ack")
# The first thing that a keeper says in the transaction of a fold, before it holds any lock.
FOLD_BEGINS = b"create temporary table"


async def test_a_batch_that_meets_a_death_at_every_step_is_counted_once(house: House) -> None:
    keeper = house.keepers[0]
    await keeper.kill()
    await house.client.record(house.client.traffic.events(await house.lines[0].slate(8)))
    for step in STEPS:
        await keeper.begin(f"keeper.{step}=kill")
        await keeper.dies()
    await keeper.start()
    assert await house.verdict() == []


async def test_an_item_that_meets_a_death_before_and_after_its_change_is_found_as_it_is(house: House) -> None:
    keeper = house.keepers[0]
    for point in ("relay.before_apply", "relay.after_apply"):
        await keeper.kill()
        await keeper.begin(f"{point}=kill")
        await house.put_items([f"Item at {point}"] * ITEMS)
        await keeper.dies()
    await keeper.start()
    await house.agrees()


async def test_an_entry_whose_reading_kills_is_put_aside_and_stops_nothing(house: House) -> None:
    """After so many deliveries it is taken for what kills: the last two of them are deaths here."""
    keeper = house.keepers[0]
    await keeper.kill()
    slate = await house.lines[0].slate(2)
    await house.client.record([attributed(slate[0], "impression")])
    for shard in range(4):
        stream = redis_keys.log(house.tenant_id, shard)
        await house.redis.xreadgroup("keeper", "earlier", {stream: ">"})
        pending = await house.redis.xpending_range(stream, "keeper", "-", "+", 10)
        ids: list[Any] = [entry["message_id"] for entry in pending]
        if ids:
            await house.redis.xclaim(stream, "keeper", "earlier", 0, ids, retrycount=MOST_DELIVERIES - 2)
    for _ in range(2):
        await keeper.begin("keeper.after_copy=kill")
        await keeper.dies()
    await keeper.start("keeper.after_copy=kill")
    house.client.forgive_since(len(house.client.acked) - 1)
    house.planted.append("CRASH_POISON")
    assert await house.verdict() == []
    await keeper.kill()
    await keeper.start()
    await house.client.record([attributed(slate[1], "impression")])
    assert await house.verdict() == []


async def test_a_keeper_that_wakes_after_another_took_over_counts_nothing_again(house: House) -> None:
    first, second = house.keepers
    await second.start()
    fold = house.proxies.keeper_postgres.set(Trap(Fate.HOLD, FOLD_BEGINS))
    slates = [await house.lines[0].slate(4) for _ in range(8)]
    batches = [await house.client.record(house.client.traffic.events(slate)) for slate in slates]
    await fold.springs()
    first.freeze()
    counted = [intent.origin for batch in batches for intent in batch.events if intent.learned]
    await house.drained()
    before = await house.count(counted)
    assert before > 0
    fold.released.set()
    first.thaw()
    await house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))
    assert await house.verdict() == []
    assert await house.count(counted) == before


@pytest.mark.parametrize("fate", [Fate.CUT_BEFORE, Fate.CUT_AFTER], ids=["before", "after"])
async def test_a_connection_cut_around_the_commit_is_asked_again(house: House, fate: Fate) -> None:
    """Twice in a row, and with one event alone: no fault of the connection is ever held against an event."""
    slate = await house.lines[0].slate(4)
    for events in ([attributed(slate[0], "impression")], house.client.traffic.events(slate)):
        cut = house.proxies.keeper_postgres.set(at_commit(fate, times=2))
        await house.client.record(events)
        assert await house.verdict() == []
        assert cut.times == 0


async def test_postgres_that_dies_in_the_middle_of_a_commit_is_asked_again(house: House) -> None:
    commit = house.proxies.keeper_postgres.set(at_commit(Fate.HOLD))
    await house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))
    await commit.springs()
    assert await house.kill_backend()
    commit.released.set()
    assert await house.verdict() == []


async def test_two_keepers_at_once_share_a_backlog_and_never_meet_in_a_deadlock(house: House) -> None:
    """Both are held up in the middle of what they count, with half of it in hand, and let go at once."""
    await backlog(house, 60)
    await house.drained()
    await house.keepers[0].kill()
    slate = await backlog(house, 60)
    assert await house.unfinished() >= 60
    middle = sorted(shown.posting for shown in slate)[ITEMS // 2]
    outsider = await asyncpg.connect(house.dsn)

    async def held_up() -> int:
        return int(await outsider.fetchval("select count(distinct pid) from pg_locks where not granted"))

    async with outsider.transaction():
        await outsider.execute(f"select from item_counts where posting = {middle} for update")
        for keeper in house.keepers:
            await keeper.begin(NEARCAST_KEEPER__BATCH_EVENTS="600", NEARCAST_POSTGRES__COMMAND_TIMEOUT_S="20")
        await eventually(held_up, 20.0, lambda keepers: keepers >= len(house.keepers))
    await outsider.close()
    assert await house.verdict() == []


async def backlog(house: House, batches: int) -> list[Shown]:
    """Reports of all items, that many; the last slate."""
    for _ in range(batches):
        slate = await house.lines[0].slate(ITEMS)
        await house.client.record(house.client.traffic.events(slate))
    return slate


async def test_what_a_keeper_left_when_it_died_for_good_is_taken_over(house: House) -> None:
    first, second = house.keepers
    await first.kill()
    await second.start()
    await first.begin("keeper.after_copy=kill")
    while first.alive:
        await house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))
    await first.dies()

    async def left() -> int:
        return await house.unfinished()

    await eventually(left, 10 * CLAIM_IDLE_S, lambda entries: entries == 0)
    assert await house.verdict() == []
