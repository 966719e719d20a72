"""The wrapper around handlers of streams: the promises of the one for single calls, for a stream's life."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import Message

from nearcast_server.errors import ExhaustedError, UnauthenticatedError
from nearcast_server.rpc.endpoint import (
    Callers,
    GoneError,
    InFlight,
    abort,
    check_role,
    refusal_of,
    stopping,
)
from nearcast_server.rpc.openstream import Draining, End, Limits, Stream
from nearcast_server.rpc.status import CODES
from nearcast_store.errors import StoreError
from nearcast_store.tenants.protocol import Caller, Role
from nearcast_telemetry.answermetrics import SERVER_CALL_SECONDS
from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.streammetrics import SERVER_STREAM_ENDS, SERVER_STREAMS_OPEN

log = logger("gateway")

Handle = Callable[[Caller, Stream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamMethod:
    """One RPC that is a stream: who may call it and who answers."""

    name: str
    request_type: type[Message]
    roles: frozenset[Role]
    handle: Handle
    gauge: Metric = SERVER_STREAMS_OPEN


class StreamEndpoint:
    """Runs a method's handler for each stream and turns whatever happens into a clean end."""

    def __init__(
        self,
        method: StreamMethod,
        callers: Callers,
        limits: Limits,
        draining: Draining,
        in_flight: InFlight,
        metrics: Metrics,
    ) -> None:
        self._method = method
        self._callers = callers
        self._limits = limits
        self._draining = draining
        self._in_flight = in_flight
        self._metrics = metrics
        self._open: Counter[int] = Counter()

    def handler(self) -> Any:
        """What gRPC calls."""
        return grpc.stream_stream_rpc_method_handler(self.call)

    async def call(self, _requests: Any, context: Any) -> None:
        """Serve one stream to its end."""
        with self._in_flight:
            await self._call(context)

    async def _call(self, context: Any) -> None:
        started, code, end = perf_counter(), "OK", "fault"
        try:
            ended = await self._serve(context)
            end = ended.value if ended else end
        except GoneError:
            code, end = "CANCELLED", "gone"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                code, end = "CANCELLED", "gone"
                raise
            # An inner cancellation that escapes would leave the caller without any status.
            code = "UNAVAILABLE"
            await abort(context, stopping())
        except Exception as error:  # noqa: BLE001 - the last line of defence
            refusal = refusal_of(error, self._method.name, self._metrics)
            code = CODES[type(refusal)].name
            await abort(context, refusal)
        finally:
            self._metrics.observe(SERVER_CALL_SECONDS, perf_counter() - started, self._method.name, code)
            self._metrics.add(SERVER_STREAM_ENDS, 1, end)

    async def _serve(self, context: Any) -> End | None:
        metadata = tuple(context.invocation_metadata())
        caller = await self._callers.identify(metadata)
        check_role(caller, self._method.name, self._method.roles)
        with self._counted(caller):
            stream = Stream(
                context,
                self._method.request_type,
                lambda: self._recheck(metadata),
                self._limits,
                self._draining,
            )
            await self._method.handle(caller, stream)
            return stream.ended

    async def _recheck(self, metadata: Any) -> None:
        """A key that ends takes its streams with it; a record that does not answer changes nothing."""
        try:
            await self._callers.identify(metadata)
        except StoreError as error:
            log.warning("stream.key_not_checked", error=error)
        except UnauthenticatedError:
            raise UnauthenticatedError(
                "CREDENTIALS_EXPIRED", "the API key expired or was revoked while the stream was open"
            ) from None

    @contextmanager
    def _counted(self, caller: Caller) -> Iterator[None]:
        if self._open[caller.key_id] >= self._limits.per_key:
            raise ExhaustedError(
                "STREAM_LIMIT",
                f"{self._limits.per_key} streams are open with this API key; close one or use another key",
                metadata={"max": str(self._limits.per_key)},
            )
        self._open[caller.key_id] += 1
        self._metrics.set(self._method.gauge, self._open.total())
        try:
            yield
        finally:
            self._open[caller.key_id] -= 1
            if not self._open[caller.key_id]:
                del self._open[caller.key_id]
            self._metrics.set(self._method.gauge, self._open.total())
