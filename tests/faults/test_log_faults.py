"""The event log emptied, full, frozen, or holding what no gateway wrote."""

import os
import signal
import time
from collections.abc import Callable
from uuid import UUID

import pytest

from nearcast.log.v1 import entry_pb2
from nearcast_ledger.event import Durability, Unlearned
from nearcast_ledger.kinds import VIEW
from nearcast_store import redis_keys
from tests.faults.house import SHARDS, House
from tests.faults.traffic import event_ids, views

DAY_US = 86_400_000_000


async def test_an_emptied_log_loses_nothing_that_came_after(house: House) -> None:
    """While no keeper looks: when one does, it begins at the beginning of what it finds."""
    house.keepers[0].freeze()
    await house.redis.flushall()
    for _ in range(5):
        await house.client.record(views(house.random, 3))
    assert await house.unfinished() >= 5
    house.keepers[0].thaw()
    assert await house.verdict() == []
    assert house.keepers[0].child.heard["log.reset"]
    await house.agrees()


async def test_a_full_log_takes_nothing_loses_nothing_and_heals_by_itself(house: House) -> None:
    await house.client.record(views(house.random, 3))
    await house.redis.config_set("maxmemory", "1")
    try:
        batch = house.journal.intend(views(house.random, 3))
        assert not await house.client.attempt(batch)
        await house.drained()
    finally:
        await house.redis.config_set("maxmemory", "0")
    await house.client.record_again(batch)
    assert await house.verdict() == []


async def test_a_frozen_log_is_given_up_in_time_and_asked_again(house: House) -> None:
    batch = house.journal.intend(views(house.random, 3))
    pid = await house.redis_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not await house.client.attempt(batch)
    finally:
        os.kill(pid, signal.SIGCONT)
    await house.client.record_again(batch)
    assert await house.verdict() == []


async def test_unread_entries_that_somebody_trimmed_are_told_as_lost(house: House) -> None:
    """By hand, against every rule: what nobody can bring back is at least no secret."""
    keeper = house.keepers[0]
    await keeper.kill()
    await keeper.begin("keeper.after_read=kill")
    await house.client.record(views(house.random, 3))
    await keeper.dies()
    house.client.forgive_since(len(house.client.acked) - 1)
    for shard in range(SHARDS):
        await house.redis.xtrim(redis_keys.log(house.tenant_id, shard), maxlen=0, approximate=False)
    await keeper.start()
    assert (await keeper.child.hears("entries.lost"))["entries"] == 1
    await house.client.record(views(house.random, 3))
    assert await house.verdict() == []


async def test_a_log_that_is_killed_comes_back_with_all_it_acknowledged(house: House) -> None:
    house.keepers[0].freeze()
    for _ in range(5):
        await house.client.record(views(house.random, 3))
    waiting = await house.unfinished()
    await house.kill_redis()
    assert await house.unfinished() == waiting
    house.keepers[0].thaw()
    assert await house.verdict() == []


async def test_no_answer_promises_a_disk_that_was_not_reached(house: House) -> None:
    """A Redis that never syncs of itself, asked to confirm that it did."""
    await house.gateways[1].start(NEARCAST_LOG__DURABILITY="fsync")
    patient = house.patient_line(1)
    batch = house.journal.intend(views(house.random, 3))
    await house.redis.config_set("appendfsync", "no")
    try:
        assert not await house.client.attempt(batch, patient)
    finally:
        await house.redis.config_set("appendfsync", "everysec")
    await house.client.record_again(batch, patient)
    await patient.close()
    assert await house.verdict() == []


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("UNDECODABLE", lambda entry: setattr(entry, "format", 0)),
        ("TEXT_NUL", lambda entry: setattr(entry.events[0], "item_id", "a\0b")),
        ("PROPERTIES_FORMAT", lambda entry: setattr(entry.events[0], "properties", b'{"a": "\\ud800"}')),
        ("NUMBER_RANGE", lambda entry: setattr(entry.events[0], "value", float("nan"))),
        ("NUMBER_RANGE", lambda entry: setattr(entry.events[0], "kind", 2**31 - 1)),
        ("TIME_RANGE", lambda entry: setattr(entry, "received_at_us", entry.received_at_us + 30 * DAY_US)),
        ("TIME_RANGE", lambda entry: setattr(entry, "received_at_us", entry.received_at_us - 30 * DAY_US)),
        ("UNDECODABLE", lambda entry: setattr(entry, "tenant_id", 77)),
    ],
)
async def test_poison_is_put_aside_alone(
    house: House, reason: str, spoil: Callable[[entry_pb2.LogEntry], object]
) -> None:
    """Written into the log past every gateway: the sound events around it are counted in the same pass."""
    entry = _an_entry(house)
    spoil(entry)
    await house.client.record(views(house.random, 2))
    await house.redis.xadd(redis_keys.log(house.tenant_id, 0), {"e": entry.SerializeToString()})
    await house.client.record(views(house.random, 2))
    house.planted.append(reason)
    assert await house.verdict() == []


def _an_entry(house: House) -> entry_pb2.LogEntry:
    """As a gateway writes it, with one event."""
    event_id = UUID(event_ids(house.random)()).bytes
    missing = entry_pb2.LoggedEvent(kind=VIEW, event_id=event_id, unlearned_reason=Unlearned.TOKEN_MISSING)
    return entry_pb2.LogEntry(
        format=1,
        tenant_id=house.tenant_id,
        received_at_us=time.time_ns() // 1000,
        gateway_id="poison",
        durability=Durability.EVERYSEC,
        events=[missing],
    )
