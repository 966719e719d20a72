"""The log's own entries against the ledger: what balances, what is missing, and the way back."""

import time
from collections.abc import AsyncIterator, Sequence

import pytest

from nearcast_cli.commands.log import tell_balances
from nearcast_ledger.event import AcceptedEvent
from nearcast_statskeeper.balancing import Missing, ShardBalance
from nearcast_statskeeper.faults import Fault, fault_of_event
from nearcast_statskeeper.rewinding import LogTooShortError, rewind_keepers
from nearcast_store import redis_keys
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.log.auditing import EntryPlace, Head, RedisLogAudit
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.upkeep import RedisLogUpkeep
from tests.integration.counting_houses import SHARDS, CountingHouse, counting_house
from tests.unit.statskeeper.entries import application, entry, impression, learned, unattributed, view

STREAM = redis_keys.log(1, 0)


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[CountingHouse]:
    async with counting_house(database, redis_url) as opened:
        yield opened


def sums(balance: ShardBalance) -> dict[str, int]:
    names = ("accepted", "counted", "duplicate", "dead", "in_flight", "missing", "vanished")
    return {name: getattr(balance, name) for name in names if getattr(balance, name)}


async def first_entry(house: CountingHouse) -> EntryPlace:
    return (await house.audit.heads([1]))[0].first


async def at(house: CountingHouse, ms: int, number: int) -> None:
    """An entry that was appended at that time."""
    await house.client.xadd(STREAM, {"e": encode_entry(entry(impression(number)))}, f"{ms}-0")


async def set_group(house: CountingHouse) -> None:
    """As the keeper makes it."""
    await house.client.xgroup_create(STREAM, "keeper", "0", mkstream=True)


async def test_a_log_that_nobody_wrote_to_balances(house: CountingHouse) -> None:
    balance = await house.balance()
    assert sums(balance) == {}
    assert balance.balanced
    assert balance.position is None


async def test_what_is_unread_is_in_flight_and_then_counted(house: CountingHouse) -> None:
    await house.append(entry(impression(1), view(1)), entry(unattributed(5)))
    unread = await house.balance()
    assert sums(unread) == {"accepted": 3, "in_flight": 3}
    await house.fold()
    folded = await house.balance()
    assert sums(folded) == {"accepted": 3, "counted": 3}
    assert folded.position is not None
    assert folded.position[3:] == (3, 3, 0, 0)


async def test_the_age_of_the_oldest_unfinished_entry_is_told(house: CountingHouse) -> None:
    await set_group(house)
    await at(house, 1000, 1)
    assert (await house.balance()).oldest_s == pytest.approx(time.time() - 1, abs=5)
    await house.fold()
    assert (await house.balance()).oldest_s == 0


async def test_what_is_handed_out_and_not_acknowledged_is_in_flight(house: CountingHouse) -> None:
    await house.append(entry(impression(1)), entry(impression(2), impression(3)))
    await house.source.read([1], 10, 0.1)
    assert sums(await house.balance()) == {"accepted": 3, "in_flight": 3}


async def test_a_repeat_is_a_duplicate_and_so_is_an_impression_that_was_implied(house: CountingHouse) -> None:
    await house.append(entry(view(1)))
    await house.fold()
    await house.append(entry(view(1), impression(1), at_s=1_790_000_001.0))
    await house.fold()
    assert sums(await house.balance()) == {"accepted": 3, "counted": 1, "duplicate": 2}


async def test_entries_folded_twice_balance_as_if_folded_once(house: CountingHouse) -> None:
    await house.append(entry(impression(1), view(2)), entry(application(3)))
    await house.fold()
    before = sums(await house.balance())
    await rewind_keepers(house.audit, [1], 0)
    await house.fold()
    balance = await house.balance()
    assert sums(balance) == before == {"accepted": 3, "counted": 3}
    assert balance.position is not None
    assert (balance.position.accepted, balance.position.duplicate) == (6, 3)


async def test_dead_events_and_bytes_that_are_no_entry_are_accounted_for(house: CountingHouse) -> None:
    await house.append(entry(impression(1), learned(2, 2, item_id="NUL \0")))
    await house.client.xadd(STREAM, {"e": b"\xff\xff"})
    assert sums(await house.balance()) == {"accepted": 3, "in_flight": 3}
    await house.fold()
    assert sums(await house.balance()) == {"accepted": 3, "counted": 1, "dead": 2}


async def test_forged_events_that_nobody_can_judge_are_named_and_hide_no_others(
    house: CountingHouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge(event: AcceptedEvent, received_at_us: int) -> Fault | None:
        if event.item_id == "forged":
            raise OverflowError("a canary")
        return fault_of_event(event, received_at_us)

    monkeypatch.setattr("nearcast_statskeeper.balancing.fault_of_event", judge)
    await house.append(entry(impression(1)))
    await house.fold()
    await house.append(entry(impression(2), learned(2, 2, item_id="forged")), entry(impression(3)))
    balance = await house.balance()
    assert sums(balance) == {"accepted": 4, "counted": 1, "in_flight": 3}
    (raising,) = balance.raising_examples
    assert (balance.raising, raising.event_index, raising.error) == (1, 1, "OverflowError")
    tell_balances([balance], {1: "dev"}, 0)
    told = capsys.readouterr().out
    assert f"raises OverflowError: dev, shard 0, entry {raising.entry_id}, event 1" in told
    assert "keeper --bury-unforeseen" in told
    assert "canary" not in told


async def test_an_event_acknowledged_and_never_folded_is_missing(house: CountingHouse) -> None:
    await house.append(entry(impression(1)))
    await house.fold()
    await house.append(entry(impression(2), impression(3)), entry(impression(4)))
    read = await house.source.read([1], 10, 0.1)
    await house.source.acknowledge(read[:1])
    balance = await house.balance()
    assert sums(balance) == {"accepted": 4, "counted": 1, "in_flight": 1, "missing": 2}
    assert not balance.balanced
    assert list(balance.examples) == [Missing(read[0].entry_id, 0), Missing(read[0].entry_id, 1)]


async def test_a_row_that_was_lost_from_the_ledger_is_missing(house: CountingHouse) -> None:
    await house.append(entry(impression(1), impression(2)))
    await house.fold()
    await house.outsider.execute("delete from events where ctid in (select ctid from events limit 1)")
    assert sums(await house.balance()) == {"accepted": 2, "counted": 1, "missing": 1}


async def test_entries_that_redis_dropped_unread_have_vanished(house: CountingHouse) -> None:
    await house.append(entry(impression(1)))
    await house.fold()
    await house.append(*(entry(impression(number)) for number in range(2, 12)))
    await house.client.xtrim(STREAM, maxlen=4, approximate=False)
    balance = await house.balance()
    assert sums(balance) == {"accepted": 4, "in_flight": 4, "vanished": 6}
    assert not balance.balanced


async def test_entries_trimmed_after_they_were_read_have_not_vanished(house: CountingHouse) -> None:
    await house.append(*(entry(impression(number)) for number in range(1, 12)))
    await house.fold()
    await house.client.xtrim(STREAM, maxlen=4, approximate=False)
    assert sums(await house.balance()) == {"accepted": 4, "counted": 4}
    await house.append(entry(impression(20)))
    assert sums(await house.balance()) == {"accepted": 5, "counted": 4, "in_flight": 1}
    await house.fold()
    assert (await house.balance()).balanced


async def test_only_entries_since_a_time_are_looked_at_and_all_unfinished_ones(house: CountingHouse) -> None:
    await set_group(house)
    for number, ms in ((1, 1000), (2, 2000), (3, 3000)):
        await at(house, ms, number)
    await house.fold()
    await at(house, 4000, 4)
    assert sums(await house.balance(since_ms=2000)) == {"accepted": 3, "counted": 2, "in_flight": 1}
    assert sums(await house.balance(since_ms=9000)) == {"accepted": 2, "counted": 1, "in_flight": 1}


async def test_what_moves_while_one_looks_is_neither_lost_nor_set_back(house: CountingHouse) -> None:
    """Entries are appended, folded and acknowledged right after the log was asked how far it is."""

    class Moving(RedisLogAudit):
        async def heads(self, tenant_ids: Sequence[int]) -> list[Head]:
            heads = await super().heads(tenant_ids)
            await house.append(entry(impression(3)))
            await house.fold()
            return heads

    await house.append(entry(impression(1)))
    await house.fold()
    await house.append(entry(impression(2)))
    house.audit = Moving(house.client, SHARDS)
    balance = await house.balance()
    assert sums(balance) == {"accepted": 2, "counted": 2}
    assert not balance.set_back


async def test_a_log_that_lost_its_newest_entries_is_said_to_be_set_back(house: CountingHouse) -> None:
    await house.append(entry(impression(1)))
    await house.fold()
    assert not (await house.balance()).set_back
    await house.client.delete(STREAM)
    assert (await house.balance()).set_back


async def test_a_restored_database_is_brought_up_to_date_by_a_rewind(house: CountingHouse) -> None:
    await house.append(*(entry(impression(number), view(number)) for number in range(1, 6)))
    await house.fold()
    totals = await PostgresCountStore(house.pool).totals(1)
    for table in (
        "events",
        "item_counts",
        "posting_totals, kind_totals",
        "feed_counts, feed_trials",
        "log_positions",
    ):
        await house.outsider.execute(f"truncate {table}")
    assert (await house.balance()).missing == 10
    first_ms, _ = await first_entry(house)
    ahead = await rewind_keepers(house.audit, [1], first_ms)
    assert [(head.tenant_id, head.shard) for head in ahead] == [(1, 0)]
    await house.fold()
    assert await PostgresCountStore(house.pool).totals(1) == totals
    assert sums(await house.balance()) == {"accepted": 10, "counted": 10}


async def test_a_rewind_begins_with_the_entry_of_that_very_millisecond(house: CountingHouse) -> None:
    await set_group(house)
    for number, ms in ((1, 1000), (2, 2000), (3, 3000)):
        await at(house, ms, number)
    await house.fold()
    await rewind_keepers(house.audit, [1], 2000)
    read = await house.source.read([1], 10, 0.1)
    assert [record.entry_id for record in read] == ["2000-0", "3000-0"]


async def test_a_rewind_never_skips_what_is_unread(house: CountingHouse) -> None:
    await set_group(house)
    await at(house, 1000, 1)
    assert await rewind_keepers(house.audit, [1], 5000) == []
    read = await house.source.read([1], 10, 0.1)
    assert [record.entry_id for record in read] == ["1000-0"]


async def test_a_rewind_beyond_what_the_log_keeps_changes_nothing(house: CountingHouse) -> None:
    await set_group(house)
    now_ms = int(time.time() * 1000)
    for number, age_s in enumerate((3000, 2000, 1000)):
        await at(house, now_ms - age_s * 1000, number)
    await house.fold()
    assert await RedisLogUpkeep(house.client, SHARDS).trim([1], 1500.0) == 2
    with pytest.raises(LogTooShortError, match="the log no longer reaches back that far") as refused:
        await rewind_keepers(house.audit, [1], now_ms - 1_600_000)
    assert now_ms - 1_500_000 <= refused.value.reaches_back_ms < now_ms - 1_400_000
    assert await house.source.read([1], 10, 0.1) == []
    assert len(await rewind_keepers(house.audit, [1], refused.value.reaches_back_ms)) == 1
    assert len(await house.source.read([1], 10, 0.1)) == 1


async def test_a_rewind_knows_what_was_forgotten_of_a_log_that_is_empty_now(house: CountingHouse) -> None:
    await set_group(house)
    now_ms = int(time.time() * 1000)
    await at(house, now_ms - 3_000_000, 1)
    await house.fold()
    upkeep = RedisLogUpkeep(house.client, SHARDS)
    assert await upkeep.trim([1], 600.0) == 1
    assert await upkeep.trim([1], 3600.0) == 0  # a longer window brings nothing back
    with pytest.raises(LogTooShortError):
        await rewind_keepers(house.audit, [1], now_ms - 3_100_000)


async def test_a_rewind_behind_entries_that_somebody_else_cut_away_is_refused(house: CountingHouse) -> None:
    await set_group(house)
    for number, ms in ((1, 1_000_000), (2, 2_000_000), (3, 3_000_000)):
        await at(house, ms, number)
    await house.fold()
    await house.client.xtrim(STREAM, minid=1_500_000, approximate=False)
    with pytest.raises(LogTooShortError, match=r"only to 1970-01-01T00:33:20\.000"):
        await rewind_keepers(house.audit, [1], 1_400_000)
    assert len(await rewind_keepers(house.audit, [1], 2_000_000)) == 1
