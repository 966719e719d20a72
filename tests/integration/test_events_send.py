"""`nearcast events send` against real gateways: to the last ack, whatever happens to the connection."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

from nearcast.v1.event_pb2 import Event
from nearcast_cli.calling import CallFailedError, Gateway
from nearcast_cli.eventrows import EventRow, read_events
from nearcast_cli.eventstream import EventSender, Sent
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Target
from nearcast_cli.outbox import Outbox
from tests.acceptance.running import COMMAND, environment
from tests.eventdoors import Doors, doors
from tests.eventstreams import events
from tests.gateways import eventually, make_config, running_gateway, running_keeper

SOON_S = 60.0


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[Doors]:
    async with doors(database, redis_url) as made:
        yield made


def line(event: Event) -> bytes:
    return MessageToJson(event, indent=None).encode() + b"\n"


class Sending:
    """A sender in a thread of its own, and what it tells."""

    def __init__(self, address: str, key: str, noticed: Any = lambda sent: None) -> None:
        self.interruptions: list[str] = []
        self._gateway = Gateway(Target(address, key))
        self._loop = asyncio.get_running_loop()
        self._noticed = noticed
        self.sender = EventSender(
            self._gateway, self._tell, lambda why, again: self.interruptions.append(why), client_name="tests"
        )

    async def send(self, lines: list[bytes] | Iterator[EventRow]) -> Sent:
        rows = read_events(lines) if isinstance(lines, list) else lines
        with self._gateway:
            return await asyncio.to_thread(self.sender.send, rows)

    def _tell(self, sent: Sent, outbox: Outbox) -> None:
        asyncio.run_coroutine_threadsafe(self._call(sent), self._loop).result()

    async def _call(self, sent: Sent) -> None:
        if asyncio.iscoroutine(told := self._noticed(sent)):
            await told


async def test_all_lines_are_sent_and_the_bad_ones_listed(house: Doors) -> None:
    lines = [line(event) for event in events(1200)]
    lines[3:3] = [b"nonsense\n", line(Event(kind="view")), b"\n", line(events(1, "teleport")[0])]
    sending = Sending(house.address, house.key)
    assert str(sending.sender.interrupted()) == "broken off before anything was acknowledged"
    sent = await sending.send(lines)
    assert (sent.accepted, sent.learned, sent.streams, sent.resent) == (1200, 0, 1, 0)
    told = sending.sender.interrupted()
    assert str(told) == "broken off after line 1204, 1200 events acknowledged (EVERYSEC)"
    assert (
        told.advice
        == "Send the same lines again, or those after line 1204 alone: what was accepted is counted once."
    )
    assert (told.exit_code, told.details["lastLine"], told.details["accepted"]) == (130, 1204, 1200)
    assert sent.batches < 20
    assert [(row.line, row.reason) for row in sending.sender.refused] == [
        (4, "MALFORMED_MESSAGE"),
        (5, "EVENT_ID_REQUIRED"),
        (7, "KIND_UNKNOWN"),
    ]
    assert sending.interruptions == []


async def test_a_connection_cut_again_and_again_loses_nothing_and_doubles_nothing(house: Doors) -> None:
    """Cut while a window is on its way, or while the next stream opens; the ledger has each event once."""
    cuts = [2, 6, 7, 11]

    async def cut(sent: Sent) -> None:
        if cuts and sent.batches >= cuts[0]:
            cuts.pop(0)
            await house.door.cut()
            await house.door.mend()

    sending = Sending(house.address, house.key, cut)
    sent = await sending.send(_rows(events(6000)))
    assert cuts == []
    assert sent.accepted == 6000
    assert sent.streams >= 3
    assert sent.resent > 0
    assert len(sending.interruptions) == sent.streams - 1
    config = make_config(house.gateway.config.postgres.dsn, house.gateway.config.redis.geo_url)
    async with running_keeper(config):
        await eventually(house.stored, SOON_S, lambda stored: stored >= 6000)
        await eventually(house.unfolded, SOON_S, lambda unfolded: unfolded == 0)
    assert await house.stored() == 6000


def _rows(sent: list[Event]) -> Iterator[EventRow]:
    return (EventRow(number, event, event.ByteSize()) for number, event in enumerate(sent, start=1))


async def test_streams_that_grow_old_follow_one_another_unnoticed(database: str, redis_url: str) -> None:
    async with doors(database, redis_url, stream_max_age_s=0.3) as house:
        sent_rows = events(20_000)
        sending = Sending(house.address, house.key)
        sent = await sending.send(_rows(sent_rows))
        assert (sent.accepted, sending.interruptions) == (20_000, [])
        assert sent.streams > 1
        assert 'stream_ends_total{reason="age"}' in await house.gateway.metrics()


async def test_a_gateway_that_stops_is_left_for_the_next_one(house: Doors) -> None:
    """The cable leads to another gateway once the first one has said goodbye."""
    config = make_config(house.gateway.config.postgres.dsn, house.gateway.config.redis.geo_url)
    async with running_gateway(config) as other:

        async def move(sent: Sent) -> None:
            if sent.batches == 3:
                host, _, port = other.address.partition(":")
                house.door._connect = lambda: asyncio.ensure_future(asyncio.open_connection(host, int(port)))
                house.stop.set()

        sending = Sending(house.address, house.key, move)
        sent = await sending.send(_rows(events(12_000)))
        assert sent.accepted == 12_000
        assert sending.interruptions
        assert "nearcast_server_stream_ack_seconds_count 0.0" not in await other.metrics()
    async with running_keeper(config):
        await eventually(house.stored, SOON_S, lambda stored: stored >= 12_000)
        await eventually(house.unfolded, SOON_S, lambda unfolded: unfolded == 0)
    assert await house.stored() == 12_000


async def test_an_idle_sender_opens_another_stream_when_there_is_more(database: str, redis_url: str) -> None:
    async with doors(database, redis_url, stream_idle_s=0.2) as house:
        first, second = events(2)
        idled = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def look() -> None:
            page = house.gateway.metrics
            await eventually(page, SOON_S, lambda told: 'stream_ends_total{reason="idle"} 1.0' in told)
            idled.set()

        def rows() -> Iterator[EventRow]:
            yield EventRow(1, first, first.ByteSize())
            asyncio.run_coroutine_threadsafe(look(), loop).result()
            yield EventRow(2, second, second.ByteSize())

        sending = Sending(house.address, house.key)
        sent = await sending.send(rows())
        assert (sent.accepted, sent.streams, sending.interruptions) == (2, 2, [])


async def test_a_server_that_was_never_there_is_told_at_once(house: Doors) -> None:
    await house.door.cut()
    with pytest.raises(CallFailedError, match="nothing answers"):
        await Sending(house.address, house.key).send([line(event) for event in events(3)])


async def test_a_key_that_is_none_is_told_and_not_tried_again(house: Doors) -> None:
    sending = Sending(house.address, "nc_bunknown")
    with pytest.raises(CommandFailedError, match="unknown, expired or revoked"):
        await sending.send([line(event) for event in events(3)])
    assert sending.sender.sent.streams == 1


async def run(house: Doors, *arguments: str | Path, given: bytes | None = None) -> tuple[int, str, str]:
    """The command as a process."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "events",
        "send",
        *map(str, arguments),
        env={**environment(), "NEARCAST_ADDRESS": house.address, "NEARCAST_API_KEY": house.key},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60.0):
        out, err = await process.communicate(given)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_sends_a_file_and_says_what_it_did(house: Doors, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"".join(line(event) for event in events(700)))
    code, out, err = await run(house, file)
    assert (code, err) == (0, "")
    assert out.startswith("Accepted 700 events in ")
    code, out, err = await run(house, file, "--json")
    told = json.loads(out)
    assert (code, told["accepted"], told["durability"], told["refused"]) == (0, 700, "EVERYSEC", [])


async def test_the_command_reads_a_pipe_and_fails_when_a_line_was_refused(house: Doors) -> None:
    given = b"".join([line(events()[0]), b"{\n", line(Event(kind="view", event_id="x"))])
    code, out, err = await run(house, "-", given=given)
    assert code == 1
    assert "Accepted 1 event in" in out
    assert "Refused 2 lines:" in err
    assert "line 2: MALFORMED_MESSAGE" in err
    assert "line 3: EVENT_ID_FORMAT event_id" in err


async def test_a_pipe_that_stays_open_is_sent_as_it_comes_and_interrupted_cleanly(house: Doors) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nearcast_cli", "events", "send", "-"),
        env={**environment(), "NEARCAST_ADDRESS": house.address, "NEARCAST_API_KEY": house.key},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(line(events()[0]))
    await process.stdin.drain()

    async def taken() -> str:
        return await house.gateway.metrics()

    await eventually(taken, SOON_S, lambda page: "nearcast_server_stream_ack_seconds_count 1.0" in page)
    process.send_signal(2)
    async with asyncio.timeout(60.0):
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"broken off" in err
    assert b"Send the same lines again" in err
    assert b"Fatal" not in err
    assert b"Traceback" not in err
