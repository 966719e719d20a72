"""Gateways that die, freeze or lose an answer: what was not acknowledged is sent again and counted once."""

import asyncio

from nearcast_store import redis_keys
from tests.faults.house import SHARDS, House
from tests.faults.proxy import Fate, Trap, at_append
from tests.gateways import eventually


async def entries(house: House) -> int:
    return sum([await house.redis.xlen(redis_keys.log(house.tenant_id, shard)) for shard in range(SHARDS)])


async def test_a_batch_that_meets_a_death_at_every_step_is_counted_once(house: House) -> None:
    gateway = house.gateways[0]
    events = house.client.traffic.events(await house.lines[0].slate(8))
    batch = house.journal.intend(events)
    before = await entries(house)
    for point, appended in (("after_parse", 0), ("after_append_before_reply", 1)):
        await gateway.kill()
        await gateway.start(f"gateway.{point}=kill")
        assert not await house.client.attempt(batch)
        await gateway.dies()
        assert await entries(house) == before + appended
    await gateway.start()
    await house.client.record_again(batch)
    assert await entries(house) == before + 2
    assert await house.verdict() == []


async def test_a_lost_reply_of_the_log_makes_one_entry_for_each_attempt(house: House) -> None:
    before = await entries(house)
    batch = house.journal.intend(house.client.traffic.events(await house.lines[0].slate(4)))
    house.proxies.log.set(at_append(Fate.CUT_AFTER, times=2))
    attempts = 1
    while not await house.client.attempt(batch):
        attempts += 1
    assert attempts > 2
    assert await entries(house) == before + 3
    assert await house.verdict() == []


async def test_a_lost_answer_is_asked_for_again(house: House) -> None:
    batch = house.journal.intend(house.client.traffic.events(await house.lines[0].slate(4)))
    lost = house.proxies.gateways[0].set(Trap(Fate.CUT_BEFORE, to_server=False))
    assert not await house.client.attempt(batch)
    assert lost.times == 0
    await house.client.record_again(batch)
    assert await house.verdict() == []


async def test_a_frozen_gateway_is_given_up_and_its_late_answer_counts_nothing_again(house: House) -> None:
    batch = house.journal.intend(house.client.traffic.events(await house.lines[0].slate(4)))
    house.gateways[0].freeze()
    assert not await house.client.attempt(batch)
    house.gateways[0].thaw()
    await house.client.record_again(batch)
    assert await house.verdict() == []


async def test_a_client_that_dies_goes_on_from_its_journal(house: House) -> None:
    house.client.begin(4)

    async def busy() -> bool:
        return house.client.in_flight > 1

    await eventually(busy, 20.0)
    await house.client.end()
    await house.client.take_up()
    assert await house.verdict() == []


async def test_a_stopping_gateway_answers_what_it_has_taken(house: House) -> None:
    house.proxies.log.delay_s = 0.05
    slates = [await house.lines[0].slate(4) for _ in range(10)]
    batches = [house.journal.intend(house.client.traffic.events(slate)) for slate in slates]
    sending = [asyncio.create_task(house.client.attempt(batch)) for batch in batches]

    async def under_way() -> bool:
        return house.client.in_flight == len(batches)

    await eventually(under_way, 20.0)
    await house.gateways[0].close()
    answered = await asyncio.gather(*sending)
    assert any(answered)
    await house.gateways[0].start()
    for batch in batches:
        await house.client.record_again(batch)
    assert await house.verdict() == []
