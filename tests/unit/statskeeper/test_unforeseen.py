"""What nobody foresaw in an entry stops nobody else's counting, and a fault of ours buries nothing."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_statskeeper.faults import Fault, fault_of_event
from nearcast_statskeeper.suspicion import MOST_IN_A_ROW
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.errors import StoreUnavailableError
from nearcast_telemetry.metrics import render
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, impression, view
from tests.unit.statskeeper.test_consumer import CLAIM_IDLE_S, Office

Spoil = Callable[[Office, Sequence[str], Exception], None]


@pytest.fixture
async def office(clock: FixedClock) -> Office:
    """With one tenant."""
    office = Office(clock)
    assert await office.tenants.ensure_tenant("one", "") == TENANT
    return office


def spoil_fold(office: Office, item_ids: Sequence[str], error: Exception) -> None:
    """The store's own code raises."""

    def raises(row: LedgerRow) -> Exception | None:
        return error if row.event.item_id in item_ids else None

    office.counts.raises = raises


@pytest.fixture(params=["fold", "plan"])
def spoil(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Makes whoever deals with these items raise."""

    def spoil_plan(_: Office, item_ids: Sequence[str], error: Exception) -> None:
        def raises(event: AcceptedEvent, received_at_us: int) -> Fault | None:
            if event.item_id in item_ids:
                raise error
            return fault_of_event(event, received_at_us)

        monkeypatch.setattr("nearcast_statskeeper.folding.fault_of_event", raises)

    return spoil_fold if request.param == "fold" else spoil_plan


def items(*numbers: int) -> list[str]:
    return [f"item-{number}" for number in numbers]


async def test_what_raises_is_put_aside_alone_and_all_else_is_counted(
    office: Office, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(office, items(5), OverflowError("date value out of range: a canary"))
    for number in range(1, 10):
        await office.append(impression(number, posting=number), view(number + 100, posting=number + 100))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 8 + 9, VIEW: 9}
    (letter,) = (letter for batch in office.counts.batches for letter in batch.dead)
    assert (letter.reason, letter.entry_id, letter.event_index) == ("UNFORESEEN", "5-0", 0)
    assert "OverflowError" in letter.detail
    assert "canary" not in letter.detail
    assert office.log.acknowledged == [f"{number}-0" for number in range(1, 10)]
    assert 'events_dead_total{reason="UNFORESEEN"} 1.0' in render(office.registry).decode()
    traced = [each for each in caplog.records if each.getMessage() == "event.raised"]
    assert [each.exc_info is not None for each in traced] == [True]


async def test_what_raises_in_one_entry_after_another_is_ours_and_buries_nothing(
    office: Office, spoil: Spoil
) -> None:
    numbers = range(1, MOST_IN_A_ROW + 2)
    spoil(office, items(*numbers), TypeError("a fault of ours"))
    for number in numbers:
        await office.append(impression(number, posting=number))
    await office.consumer.step()  # nothing to take over
    for _ in range(3):
        with pytest.raises(TypeError, match="a fault of ours"):
            await office.consumer.step()
    assert office.counts.dead_reasons == []
    assert office.log.acknowledged == []


async def test_the_entries_in_a_row_are_named_and_buried_when_an_operator_says_so(
    office: Office, spoil: Spoil
) -> None:
    """Somebody forged them: the keeper is started to bury whatever raises, and counts the rest."""
    numbers = range(1, MOST_IN_A_ROW + 4)
    spoil(office, items(*numbers), KeyError("forged"))
    for number in numbers:
        await office.append(impression(number, posting=number))
    await office.append(impression(99, posting=99))
    with pytest.raises(KeyError, match="forged") as stopped:
        await office.drain(office.new_consumer(batch_events=1))
    (note,) = stopped.value.__notes__
    assert f"0/1-0 of tenant {TENANT}" in note
    assert "nearcast keeper --bury-unforeseen" in note
    office.clock.advance(CLAIM_IDLE_S)
    await office.drain(office.new_consumer(buries_unforeseen=True))
    assert await office.totals() == {IMPRESSION: 1}
    assert office.counts.dead_reasons == ["UNFORESEEN"] * len(numbers)


async def test_a_fault_of_ours_that_meets_one_entry_at_a_time_is_found_out_too(
    office: Office, spoil: Spoil
) -> None:
    numbers = range(1, 10)
    spoil(office, items(*numbers), TypeError("a fault of ours"))
    consumer = office.new_consumer(batch_events=1)
    for number in numbers:
        await office.append(impression(number, posting=number))
    with pytest.raises(TypeError):
        await office.drain(consumer)
    with pytest.raises(TypeError):
        await consumer.step()
    assert office.counts.dead_reasons == ["UNFORESEEN"] * MOST_IN_A_ROW


async def test_faulty_entries_among_sound_ones_are_theirs_however_many(office: Office, spoil: Spoil) -> None:
    odd = range(1, 20, 2)
    spoil(office, items(*odd), ValueError("year 10889 is out of range"))
    for number in range(1, 21):
        await office.append(impression(number, posting=number))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 10}
    assert office.counts.dead_reasons == ["UNFORESEEN"] * len(odd)


@pytest.mark.parametrize(
    "error", [MemoryError(), ConnectionResetError(), TimeoutError(), StoreUnavailableError("away")]
)
async def test_what_the_house_raises_buries_nothing(office: Office, error: Exception) -> None:
    spoil_fold(office, items(1), error)
    await office.append(impression(1, posting=1))
    await office.append(impression(2, posting=2))
    await office.consumer.step()
    with pytest.raises(type(error)):
        await office.consumer.step()
    assert office.counts.dead_reasons == []
    office.counts.raises = lambda row: None
    await office.drain()
    assert await office.totals() == {IMPRESSION: 2}


async def test_a_keeper_that_is_stopped_while_it_folds_buries_nothing(office: Office) -> None:
    def stop(row: LedgerRow) -> bool:
        raise asyncio.CancelledError

    await office.append(impression(1))
    await office.consumer.step()
    office.counts.refuses = stop
    with pytest.raises(asyncio.CancelledError):
        await office.consumer.step()
    assert office.counts.dead_reasons == []
    assert office.log.acknowledged == []
