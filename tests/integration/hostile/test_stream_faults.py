"""Streams whose log stalls or fails, whose sender does not listen, and that live too long."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest

from nearcast.v1.event_pb2 import EventBatch, StreamEventsRequest
from nearcast_server.rpc.openstream import Limits
from nearcast_store.errors import LogUnavailableError, StoreUnavailableError
from tests.eventstreams import Sender, batch, events, reason, streaming
from tests.gateways import eventually
from tests.integration.hostile.faulty import Faulty, faulty_gateway, raising

WINDOW = 8
SECRET = "redis://:hunter2@log.internal"
EMPTY = b""
SHORT_S = 0.4


@pytest.fixture
async def faulty() -> AsyncIterator[Faulty]:
    async with faulty_gateway() as started:
        yield started


@asynccontextmanager
async def opened(faulty: Faulty, **hello: object) -> AsyncIterator[Sender]:
    """A stream after its welcome."""
    async with streaming(faulty.channel, faulty.key) as stream:
        welcome = await stream.hello(**hello)
        assert welcome.window == WINDOW
        yield stream


@dataclass
class Stalling:
    """A log that appends when its gate is open, and knows how many wait for it."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    waiting: int = 0
    most_waiting: int = 0

    async def __call__(self) -> None:
        self.begun += 1
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1

    async def begins(self, number: int) -> None:
        async def begun() -> int:
            return self.begun

        await eventually(begun, 5.0, lambda seen: seen >= number)


async def flooded(stream: Sender, messages: list[bytes], written: list[int]) -> None:
    for message in messages:
        await stream.send(message)
        written.append(len(message))


async def test_a_flood_waits_at_the_window_while_the_log_is_stalled(faulty: Faulty) -> None:
    """A hundred batches of 200 KB are sent; eight are taken, and the connection holds back the rest."""
    log = faulty.faults.log = Stalling()
    written: list[int] = []
    padding = [secrets.token_hex(6000) for _ in range(16)]
    messages = []
    for sequence in range(1, 101):
        sent = events(16)
        for event, text in zip(sent, padding, strict=True):
            event.properties["text"] = text[:8000]
            event.session_id = text[:128]
        messages.append(batch(sequence, *sent).SerializeToString())
    async with opened(faulty) as stream:
        flood = asyncio.create_task(flooded(stream, messages, written))
        await log.begins(WINDOW)
        await asyncio.wait([flood], timeout=0.7)
        assert not flood.done()
        assert (log.begun, log.waiting) == (WINDOW, WINDOW)
        assert sum(written) < 8 * 1024 * 1024
        log.gate.set()
        acks = [await stream.ack() for _ in messages]
        await flood
        await stream.done()
        assert await stream.rest() == ([], None)
    assert [ack.sequence for ack in acks] == list(range(1, 101))
    assert log.most_waiting == WINDOW
    assert len(faulty.appended) == 100


async def test_who_does_not_read_acks_is_not_read_from(faulty: Faulty) -> None:
    """Each ack tells of 500 bad events, so that acks soon fill the connection."""
    bad = EventBatch(events=[{"kind": "view", "value": -1.0}] * 500)  # type: ignore[list-item]
    messages = []
    for sequence in range(1, 501):
        bad.sequence = sequence
        messages.append(StreamEventsRequest(batch=bad).SerializeToString())

    async def acknowledged() -> float:
        return faulty.registry.get_sample_value("nearcast_server_stream_ack_seconds_count") or 0.0

    async with opened(faulty) as stream:
        flood = asyncio.create_task(flooded(stream, messages, []))
        assert 20 < await _settled(acknowledged) < len(messages)
        acks = [await stream.ack() for _ in messages]
        assert [ack.sequence for ack in acks] == list(range(1, len(messages) + 1))
        await flood


async def _settled(look: Callable[[], Awaitable[float]]) -> float:
    """What it comes to: the same for twenty looks on end."""
    seen: list[float] = []

    async def again() -> bool:
        seen.append(await look())
        return len(seen) > 20 and len(set(seen[-20:])) == 1 and seen[-1] > 0

    await eventually(again, 20.0)
    return seen[-1]


async def test_acks_keep_the_order_of_batches_whatever_order_appends_end_in(faulty: Faulty) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    turn = count()

    async def append() -> None:
        await gates[next(turn)].wait()

    faulty.faults.log = append
    async with opened(faulty) as stream:
        await stream.send(batch(1), batch(2), batch(3))
        for gate in (gates[2], gates[1]):
            gate.set()
        first = asyncio.create_task(stream.ack())

        async def appended() -> int:
            return len(faulty.appended)

        await eventually(appended, 5.0, lambda entries: entries == 2)
        assert not first.done()
        gates[0].set()
        assert (await first).sequence == 1
        assert [(await stream.ack()).sequence for _ in range(2)] == [2, 3]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (LogUnavailableError(SECRET), "UNAVAILABLE", "LOG_UNAVAILABLE"),
        (RuntimeError(SECRET), "INTERNAL", "INTERNAL"),
        (asyncio.CancelledError(), "UNAVAILABLE", "SERVER_NOT_READY"),
        (ExceptionGroup(SECRET, [ValueError(SECRET)]), "INTERNAL", "INTERNAL"),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, BaseException) else "",
)
async def test_an_append_that_fails_ends_the_stream_after_the_acks_before_it(
    faulty: Faulty, error: BaseException, code: str, told: str
) -> None:
    """What was sent after the batch that failed is not acknowledged, though it may have been appended."""
    turn = count(1)

    async def append() -> None:
        if next(turn) == 2:
            await raising(error)()

    faulty.faults.log = append
    async with opened(faulty) as stream:
        await stream.send(batch(1), batch(2), batch(3))
        acks, refusal = await stream.refused()
    assert [ack.sequence for ack in acks] == [1]
    assert (refusal.code, refusal.reason) == (code, told)
    assert (refusal.retry_s is not None) == (code == "UNAVAILABLE")
    assert "hunter2" not in repr(refusal)
    async with opened(faulty, resume_after=1) as stream:
        await stream.send(batch(2), batch(3))
        assert [(await stream.ack()).sequence for _ in range(2)] == [2, 3]


async def test_a_sender_who_hangs_up_leaves_nothing_behind(faulty: Faulty) -> None:
    log = faulty.faults.log = Stalling()
    async with opened(faulty) as stream:
        await stream.send(batch(1), batch(2))
        await log.begins(2)
        stream.call.cancel()
        async with asyncio.timeout(20.0):
            await faulty.in_flight.ended()
    assert (log.waiting, faulty.appended) == (0, [])
    assert ends(faulty, "gone") == 1.0
    assert faulty.registry.get_sample_value("nearcast_server_streams_open") == 0.0


async def test_half_closed_with_batches_in_flight_all_of_them_are_acknowledged(faulty: Faulty) -> None:
    """What comes on another stream of the connection was read after the half-close of this one."""
    log = faulty.faults.log = Stalling()
    async with opened(faulty) as stream:
        await stream.send(*[batch(sequence) for sequence in range(1, WINDOW)])
        await stream.done()
        await log.begins(WINDOW - 1)
        async with opened(faulty) as later:
            await later.done()
            assert await later.rest() == ([], None)
        log.gate.set()
        acks, goodbye = await stream.rest()
    assert ([ack.sequence for ack in acks], goodbye) == (list(range(1, WINDOW)), None)
    assert ends(faulty, "client") == 2.0


async def test_a_key_that_cannot_be_looked_up_again_is_still_believed(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_server.callers.MOST_REMEMBERED", 0)
    async with opened(faulty) as stream:
        faulty.faults.callers = raising(StoreUnavailableError(SECRET))
        await stream.send(batch(1))
        assert (await stream.ack()).accepted == 1


@pytest.fixture
async def brief() -> AsyncIterator[Faulty]:
    """Streams here are idle after a moment."""
    async with faulty_gateway(limits=Limits(idle_s=SHORT_S, max_age_s=60.0)) as started:
        yield started


def ends(faulty: Faulty, how: str) -> float | None:
    return faulty.registry.get_sample_value("nearcast_server_stream_ends_total", {"reason": how})


@pytest.mark.parametrize("sent", ["nothing", "hello", "a batch"])
async def test_an_idle_stream_is_ended_with_a_reason(brief: Faulty, sent: str) -> None:
    async with streaming(brief.channel, brief.key) as stream:
        if sent != "nothing":
            assert (await stream.hello()).idle_after_s == SHORT_S
        if sent == "a batch":
            await stream.send(batch(12))
            await stream.ack()
        acks, goodbye = await stream.rest()
    assert (acks, reason(goodbye)) == ([], "IDLE")
    assert goodbye is not None
    assert goodbye.resume_after == (12 if sent == "a batch" else 0)
    assert ends(brief, "idle") == 1.0


async def test_a_stream_that_waits_for_the_log_is_not_idle(brief: Faulty) -> None:
    log = brief.faults.log = Stalling()
    async with opened(brief) as stream:
        await stream.send(batch(1))
        ack = asyncio.create_task(stream.ack())
        await asyncio.wait([ack], timeout=2 * SHORT_S)
        assert not ack.done()
        log.gate.set()
        assert (await ack).sequence == 1
        await stream.send(batch(2))
        assert (await stream.ack()).sequence == 2


async def _signs_of_life(stream: Sender) -> None:
    for sequence in count(1):
        await stream.send(EMPTY if sequence % 2 else batch(sequence))
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(SHORT_S / 4, turn.cancel)
        await asyncio.wait([turn])


@pytest.mark.parametrize("sign", ["empty", "floods"])
async def test_an_old_stream_is_ended_however_busy_it_is(sign: str) -> None:
    """A sign of life now and then keeps it from being idle, nothing keeps it from growing old."""
    age_s = 4 * SHORT_S
    loop = asyncio.get_running_loop()
    async with faulty_gateway(limits=Limits(idle_s=SHORT_S, max_age_s=age_s)) as aging:
        async with streaming(aging.channel, aging.key) as stream:
            began_at = loop.time()
            await stream.hello()
            talk = _signs_of_life if sign == "empty" else _floods
            talking = asyncio.create_task(talk(stream))
            acks, goodbye = await stream.rest()
            lasted_s = loop.time() - began_at
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
        assert reason(goodbye) == "AGE"
        assert goodbye is not None
        assert goodbye.resume_after == acks[-1].sequence
        assert len(aging.appended) == len(acks)
        assert 0.85 * age_s <= lasted_s < age_s + 5.0
        assert ends(aging, "age") == 1.0


async def _floods(stream: Sender) -> None:
    for sequence in count(1):
        await stream.send(batch(sequence))
