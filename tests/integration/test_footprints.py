"""Memory does not grow with what went through: thousands of events on the way in, and thousands folded."""

import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count, islice

import pytest

from nearcast_ledger.event import Durability
from nearcast_ledger.person import Person
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_server.recording import Recorder
from nearcast_store.intake.judging import Report
from tests.integration.counting_houses import CountingHouse, counting_house
from tests.unit.server.scene import KEYRING, TENANT, make_view, town
from tests.unit.statskeeper.entries import claims, entry, impression

BATCH = 100
# Each event is of a decision of its own: more than any cache remembers, or its table makes room for.
WARM_BATCHES = 45
BATCHES = 30
MOST_STRETCHES = 3
# Of 3,000 events: less than one small object for each, with room for what else lives in this process.
MOST_BYTES = 128 * 1024

Turn = Callable[[int], Awaitable[None]]


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[CountingHouse]:
    async with counting_house(database, redis_url) as opened:
        yield opened


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def left_behind(turn: Turn) -> int:
    """Bytes that Python holds more after a stretch of later turns, the first that left little or the last.

    What events leave behind they leave in each; a gateway of other tests, in this process, now and then.
    """
    numbers = count()
    for number in islice(numbers, WARM_BATCHES):
        await turn(number)
    left = MOST_BYTES
    for _ in range(MOST_STRETCHES):
        before = held()
        for number in islice(numbers, BATCHES):
            await turn(number)
        left = held() - before
        if left < MOST_BYTES:
            break
    return left


def held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def report(token: str) -> Report:
    return Report(
        kind="impression",
        reward_token=token,
        event_id="",
        item_id="",
        person=Person(),
        session_id="",
        occurred_at_us=None,
        value=None,
        properties=b"",
        size_bytes=100,
    )


@pytest.mark.usefixtures("_traced")
async def test_recording_leaves_nothing_behind(house: CountingHouse) -> None:
    scene, tokens = town(5, make_view()), RewardTokens(KEYRING)
    recorder = Recorder(house.log, scene.tenancies, lambda: scene.now, "gateway-1", Durability.MEMORY)

    async def record(number: int) -> None:
        requests = range(number * BATCH, (number + 1) * BATCH)
        signed = [tokens.sign(claims(request, key_id=7)) for request in requests]
        recorded = await recorder.record(TENANT, [report(token) for token in signed])
        assert all(one.learned for one in recorded.judged)

    assert await left_behind(record) < MOST_BYTES


@pytest.mark.usefixtures("_traced")
async def test_folding_leaves_nothing_behind(house: CountingHouse) -> None:
    turns = 0

    async def fold(number: int) -> None:
        nonlocal turns
        turns += 1
        requests = range(number * BATCH, (number + 1) * BATCH)
        await house.append(entry(*(impression(request) for request in requests)))
        while not await house.consumer.step():
            pass

    assert await left_behind(fold) < MOST_BYTES
    assert (await house.balance()).counted == turns * BATCH
