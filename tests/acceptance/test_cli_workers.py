"""`nearcast serve --workers`: processes on one port are one gateway, whatever becomes of one of them."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest

from nearcast_replica.answering import answerer
from tests.acceptance.running import Up
from tests.acceptance.running import alive as living
from tests.crews import Crew, StartCrew, alive, crews, has_grpc
from tests.eventstreams import Sender, batch, events, reason, streaming
from tests.faults.waiting import rest
from tests.gateways import eventually

CONNECTIONS = 16
# Between two calls of a sender: processes start meanwhile, and need the machine more than it does.
BREATH_S = 0.02
ACCEPTED = 'nearcast_server_events_accepted_total{learned="false"}'
CALLS = 'nearcast_server_call_seconds_count{code="OK",method="RecordEvents"}'


@pytest.fixture
async def start_crew(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[StartCrew]:
    """Crews without machine code, unless a test asks for it: loading it takes each process seconds."""
    async with crews(database, redis_url, tmp_path) as start:
        yield partial(start, NEARCAST_KERNEL="twin")


async def through_all(crew: Crew, connections: int = CONNECTIONS) -> list[str]:
    """One event over each of so many connections; their ids."""
    ids = []
    for _ in range(connections):
        async with crew.channel() as channel:
            ids.append(await crew.record(channel))
    return ids


async def until_dead(*pids: int) -> None:
    """Return once none of them runs."""

    async def left() -> list[int]:
        return [pid for pid in pids if alive(pid)]

    await eventually(left, 20.0, lambda living: not living)


async def test_workers_are_one_gateway_on_one_port(start_crew: StartCrew) -> None:
    # Made, or loaded, before anybody waits for a process that makes it.
    answerer()
    crew = await start_crew(NEARCAST_KERNEL="auto")
    assert crew.said["workers"] == 2
    pids = crew.pids()
    await through_all(crew)

    answered = {entry.gateway_id for entry in await crew.logged()}
    assert {int(name.rpartition("-")[2]) for name in answered} == set(pids.values())
    assert await crew.number(ACCEPTED) == CONNECTIONS
    assert await crew.number('nearcast_server_workers{state="open"}') == 2
    assert (await crew.http("/readyz")).startswith("HTTP/1.1 200")
    page = await crew.http("/metrics")
    for each in ("1", "2", "parent"):
        assert f'process_resident_memory_bytes{{worker="{each}"}}' in page
    assert {line["worker"] for line in crew.keeping.heard["gateway.ready"]} == {"1", "2"}


async def test_who_keeps_the_workers_has_no_grpc_in_it(start_crew: StartCrew) -> None:
    crew = await start_crew()
    assert has_grpc(crew.pids()[1])
    assert not has_grpc(crew.keeping.pid)


async def test_a_killed_worker_comes_back_and_calls_go_on_meanwhile(start_crew: StartCrew) -> None:
    crew = await start_crew()
    victim = crew.pids()[1]
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def send() -> None:
        async with crew.channel() as channel:
            while not stop.is_set():
                try:
                    acknowledged.append(await crew.record(channel, 2.0))
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - most calls have none
                await rest(BREATH_S)

    async def counted() -> float:
        sums.append(await crew.number(ACCEPTED))
        return sums[-1]

    sums: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(send())
        await eventually(counted, 20.0, lambda count: count >= 50)
        os.kill(victim, signal.SIGKILL)
        await crew.keeping.hears("worker.failed")
        before = len(acknowledged)
        await crew.keeping.hears("gateway.ready", 3)
        assert len(acknowledged) > before
        await eventually(lambda: crew.number('nearcast_server_workers{state="open"}'), 20.0, lambda n: n == 2)
        await eventually(counted, 20.0, lambda count: count >= sums[0] + 50)
        stop.set()

    assert sums == sorted(sums)
    assert crew.pids()[1] != victim
    assert await crew.number('nearcast_server_worker_ends_total{reason="failed"}') == 1
    stored = {event.event_id for entry in await crew.logged() for event in entry.events}
    assert set(acknowledged) <= {str(each) for each in stored}


async def test_stopping_during_streams_loses_nothing_that_was_acknowledged(start_crew: StartCrew) -> None:
    crew = await start_crew()
    acknowledged: set[str] = set()
    endings: list[str] = []

    async def send(stream: Sender) -> None:
        await stream.hello()
        sent: dict[int, list[str]] = {}
        for sequence in range(1, 100_000):
            batched = events(5)
            sent[sequence] = [event.event_id for event in batched]
            await stream.send(batch(sequence, *batched))
            message = await stream.read()
            if message.HasField("goodbye"):
                endings.append(reason(message.goodbye))
                await stream.done()
                return
            acknowledged.update(sent[message.ack.sequence])
            if sequence == 3:
                under_way.release()

    under_way = asyncio.Semaphore(0)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for _ in range(6):
            channel = await stack.enter_async_context(crew.channel())
            tasks.create_task(send(await stack.enter_async_context(streaming(channel, crew.key))))
        for _ in range(6):
            await under_way.acquire()
        crew.keeping.send(signal.SIGTERM)

    assert endings == ["DRAIN"] * 6
    assert await crew.keeping.ended() == 0
    assert not [pid for pid in crew.pids().values() if alive(pid)]
    stored = {str(event.event_id) for entry in await crew.logged() for event in entry.events}
    assert len(acknowledged) >= 6 * 3 * 5
    assert acknowledged <= stored


@pytest.mark.parametrize("how", ["calls", "signal"])
async def test_workers_are_replaced_while_calls_go_on(start_crew: StartCrew, how: str) -> None:
    """What gRPC promises of it: a call that reaches a worker as it stops may fail, and is made again."""
    limits = {"NEARCAST_GATEWAY__RECYCLE_AFTER_CALLS": "200"} if how == "calls" else {}
    crew = await start_crew(**limits)
    stop = asyncio.Event()
    acknowledged: list[str] = []
    failed: list[grpc.StatusCode] = []

    async def send() -> None:
        async with crew.channel(("grpc.enable_retries", 0)) as channel:
            while not stop.is_set():
                try:
                    acknowledged.append(await crew.record(channel))
                except grpc.aio.AioRpcError as error:
                    failed.append(error.code())
                await rest(BREATH_S)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(6):
            tasks.create_task(send())
        if how == "signal":
            crew.keeping.send(signal.SIGHUP)
        await crew.keeping.hears("worker.replaced", 2)
        stop.set()

    replaced = [line["pid"] for line in crew.keeping.heard["worker.replaced"]]
    assert not [pid for pid in replaced if alive(pid)]
    assert set(failed) <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    # Each has one call at a time, so each connection to a worker that stops may lose one.
    assert len(failed) <= 6 * len(replaced)
    stored = {str(event.event_id) for entry in await crew.logged() for event in entry.events}
    assert set(acknowledged) <= stored
    # The calls of those who have ended are among them.
    assert await crew.number(CALLS) >= len(acknowledged)


async def test_a_crew_whose_keeper_is_killed_leaves_nobody(start_crew: StartCrew) -> None:
    crew = await start_crew()
    crew.keeping.send(signal.SIGKILL)
    await until_dead(crew.keeping.pid, *crew.pids().values())


async def test_a_second_signal_does_not_wait_for_anybody(start_crew: StartCrew) -> None:
    crew = await start_crew(NEARCAST_GATEWAY__SHUTDOWN_GRACE_S="60")
    frozen = crew.pids()[2]
    os.kill(frozen, signal.SIGSTOP)
    try:
        crew.keeping.send(signal.SIGTERM)
        await crew.keeping.hears("gateway.stopped")  # the other one's
        crew.keeping.send(signal.SIGTERM)
        await until_dead(crew.keeping.pid)
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert await crew.keeping.ended() == -signal.SIGTERM
    await until_dead(*crew.pids().values())


async def test_a_port_that_somebody_has_is_told(start_crew: StartCrew) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as foreign:
        port = str(foreign.getsockname()[1])
        crew = await start_crew("--workers", "2", "--grpc-port", port, ready=False)
        assert await crew.keeping.ended() == 1
    assert "(PORT_IN_USE)" in crew.keeping.last_words()
    assert "worker.started" not in crew.keeping.heard


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_gateway_on_the_port_is_told(start_crew: StartCrew, workers: str) -> None:
    first = await start_crew()
    port = str(first.said["grpc_port"])
    second = await start_crew("--workers", workers, "--grpc-port", port, ready=False)
    assert await second.keeping.ended() == 1
    assert "(PORT_IN_USE)" in second.keeping.last_words()


async def test_what_keeps_the_first_worker_from_starting_is_told_once(
    start_crew: StartCrew, empty_database: str
) -> None:
    crew = await start_crew(ready=False, NEARCAST_POSTGRES__DSN=empty_database)
    assert await crew.keeping.ended() == 1
    assert crew.keeping.last_words().count("(SCHEMA_MISMATCH)") == 1
    assert "(WORKERS_FAILED)" in crew.keeping.last_words()


def test_up_runs_its_gateway_as_workers_too(state_dir: Path) -> None:
    up = Up(state_dir, "--no-town", "--grpc-port", "0", "--workers", "2")
    try:
        up.ready()
        assert "(2 workers)" in up.written
        processes = up.descendants()
        assert len([line for line in processes.values() if "serve --worker " in line]) == 2
        assert up.interrupt() == 0
        assert not living(processes)
    finally:
        up.close()
