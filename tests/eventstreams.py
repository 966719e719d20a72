"""A sender of event streams that does exactly what a test says."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import grpc

from nearcast.v1.event_pb2 import (
    BatchAck,
    Event,
    EventBatch,
    StreamEnd,
    StreamEventsRequest,
    StreamEventsResponse,
    StreamGoodbye,
    StreamHello,
    StreamWelcome,
)
from nearcast_ledger.requestid import RequestIds
from tests.gateways import Refusal

PATH = "/nearcast.v1.EventService/StreamEvents"
PATIENCE_S = 30.0
_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)


def events(count: int = 1, kind: str = "view") -> list[Event]:
    """Events that no one has sent before."""
    return [Event(kind=kind, event_id=str(_ids.next()), item_id="a") for _ in range(count)]


def batch(sequence: int, *sent: Event) -> StreamEventsRequest:
    return StreamEventsRequest(batch=EventBatch(sequence=sequence, events=sent or events()))


class Sender:
    """One stream. Reads fail after a while instead of hanging; an error status is a Refusal."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def hello(self, **fields: Any) -> StreamWelcome:
        await self.send(StreamEventsRequest(hello=StreamHello(**fields)))
        return (await self.read("welcome")).welcome

    async def send(self, *messages: StreamEventsRequest | bytes) -> Self:
        """Returns when the connection has taken them, which may be never: bounded by the test."""
        for message in messages:
            raw = message if isinstance(message, bytes) else message.SerializeToString()
            await self.call.write(raw)
        return self

    async def done(self) -> None:
        await self.call.done_writing()

    async def read(self, kind: str = "") -> StreamEventsResponse:
        """The next message, of this kind if one is named."""
        message = await self._next()
        assert message is not None, "the stream has ended"
        assert kind in ("", message.WhichOneof("message")), message
        return message

    async def ack(self) -> BatchAck:
        return (await self.read("ack")).ack

    async def rest(self) -> tuple[list[BatchAck], StreamGoodbye | None]:
        """Every ack up to the end, and the goodbye if there was one. Raises Refusal."""
        acks: list[BatchAck] = []
        while (message := await self._next()) is not None:
            if message.HasField("goodbye"):
                await self.done()
                assert await self._next() is None
                return acks, message.goodbye
            acks.append(message.ack)
        return acks, None

    async def refused(self) -> tuple[list[BatchAck], Refusal]:
        """The acks before the error, and the error."""
        acks: list[BatchAck] = []
        try:
            while (message := await self._next()) is not None:
                acks.append(message.ack)
        except Refusal as refusal:
            return acks, refusal
        raise AssertionError("the stream ended without an error")

    async def _next(self) -> StreamEventsResponse | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                raw = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise Refusal.of(error) from None
        if raw is not grpc.aio.EOF:
            return StreamEventsResponse.FromString(raw)
        if await self.call.code() is not grpc.StatusCode.OK:
            raise AssertionError(f"ended with {await self.call.code()}")
        return None


@asynccontextmanager
async def streaming(channel: grpc.aio.Channel, key: str, **options: Any) -> AsyncIterator[Sender]:
    """A stream, cancelled at the end if it still lives."""
    method: Any = channel.stream_stream(PATH, request_serializer=None, response_deserializer=None)
    call = method(metadata=(("authorization", f"Bearer {key}"),), **options)
    try:
        yield Sender(call)
    finally:
        call.cancel()


def reason(goodbye: StreamGoodbye | None) -> str:
    return StreamEnd.Name(goodbye.reason).removeprefix("STREAM_END_") if goodbye else ""
