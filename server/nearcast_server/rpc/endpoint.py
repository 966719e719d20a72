"""The one wrapper around every handler: bytes in, bytes out.

It stands where interceptors would: it knows the caller, the deadline and the error table, and lets
nothing else out. The request is parsed here and not by gRPC, because gRPC answers a malformed one
with the parser's own words. It is read here too, as a stream of one message: gRPC would wait for a body
that never ends, whatever the deadline, and before it is known who sends it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError, Message

from nearcast_server.errors import (
    ExhaustedError,
    FaultError,
    ForbiddenError,
    InvalidRequestError,
    RequestError,
    TooLateError,
    UnavailableError,
)
from nearcast_server.rpc.overtime import Overtime
from nearcast_server.rpc.status import CODES, from_store, to_status
from nearcast_store.errors import StoreError
from nearcast_store.tenants.protocol import Caller, Role
from nearcast_telemetry.answermetrics import SERVER_CALL_SECONDS, SERVER_INCIDENTS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

Handle = Callable[[Caller, Any], Awaitable[Message | bytes]]
MOST_MESSAGE_BYTES = 1 << 20
log = logger("gateway")


class GoneError(Exception):
    """Whoever called does not hear us any more."""


class Callers(Protocol):
    """Tells who calls, from the metadata of the call."""

    async def identify(self, metadata: Any) -> Caller:
        """Raises UnauthenticatedError or ForbiddenError."""
        ...


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: who may call it and who answers."""

    name: str
    request_type: type[Message]
    roles: frozenset[Role]
    handle: Handle


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a call may take, whatever the caller says."""

    default_s: float
    max_s: float

    def of(self, remaining_s: float | None) -> float:
        """Seconds for this call."""
        if remaining_s is None:
            return self.default_s
        return min(remaining_s, self.max_s)


class InFlight:
    """Counts running calls: gRPC's own stop returns before the last of them has cleaned up."""

    def __init__(self) -> None:
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> None:
        self._running += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()

    async def ended(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()


class Endpoint:
    """Calls a method's handler and turns whatever happens into an answer or a clean status."""

    def __init__(
        self,
        method: Method,
        callers: Callers,
        deadlines: Deadlines,
        in_flight: InFlight,
        metrics: Metrics,
        most_bytes: int = MOST_MESSAGE_BYTES,
    ) -> None:
        self._method = method
        self._callers = callers
        self._deadlines = deadlines
        self._in_flight = in_flight
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._overtime = Overtime()

    async def call(self, _requests: Any, context: Any) -> bytes:
        """Answer one call."""
        with self._in_flight:
            return await self._call(context)

    async def _call(self, context: Any) -> bytes:
        started = perf_counter()
        code = "OK"
        try:
            most_s = self._deadlines.of(context.time_remaining())
            return await self._overtime.bound(self._answer(context), most_s)
        except GoneError:
            code = "CANCELLED"
            return b""
        except asyncio.CancelledError:
            code = "CANCELLED"
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # An inner cancellation that escapes would leave the caller without any status.
            return await abort(context, stopping())
        except Exception as error:  # noqa: BLE001 - the last line of defence
            refusal = refusal_of(error, self._method.name, self._metrics)
            code = CODES[type(refusal)].name
            return await abort(context, refusal)
        finally:
            self._metrics.observe(SERVER_CALL_SECONDS, perf_counter() - started, self._method.name, code)

    def handler(self) -> Any:
        """What gRPC calls."""
        return grpc.stream_unary_rpc_method_handler(self.call)

    async def _answer(self, context: Any) -> bytes:
        caller = await self._callers.identify(context.invocation_metadata())
        check_role(caller, self._method.name, self._method.roles)
        try:
            raw = await context.read()
        except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
            raise GoneError from error
        request = parsed(raw, self._method.request_type, self._most_bytes)
        answer = await self._method.handle(caller, request)
        return answer if isinstance(answer, bytes) else answer.SerializeToString()


def parsed(raw: Any, request_type: type[Message], most_bytes: int) -> Message:
    """The message that the bytes are. Raises ExhaustedError, InvalidRequestError."""
    if raw is not grpc.aio.EOF and len(raw) > most_bytes:
        raise ExhaustedError(
            "MESSAGE_TOO_LARGE",
            f"the body has {len(raw)} bytes, at most {most_bytes} are taken; send several",
            metadata={"max": str(most_bytes)},
        )
    request = request_type()
    try:
        if raw is grpc.aio.EOF:
            raise DecodeError
        request.ParseFromString(raw)
    except DecodeError:
        raise InvalidRequestError.of(
            "", "MALFORMED_MESSAGE", f"the body is no {request_type.DESCRIPTOR.full_name}"
        ) from None
    return request


def check_role(caller: Caller, method: str, roles: frozenset[Role]) -> None:
    """ForbiddenError when the caller's role may not call the method."""
    if caller.role not in roles:
        raise ForbiddenError(
            "INSUFFICIENT_SCOPE",
            f"a key with role {caller.role} may not call {method}",
            metadata={"role": caller.role, "allowed": ",".join(sorted(roles))},
        )


def stopping() -> UnavailableError:
    """What a caller is told whose call was cut from within."""
    return UnavailableError("SERVER_NOT_READY", "the server is stopping; call again", retry_after_s=1.0)


def refusal_of(error: Exception, method: str, metrics: Metrics) -> RequestError:
    """What a caller is told of any exception; a fault of ours by its incident id alone."""
    if isinstance(error, RequestError):
        return error
    unavailable = from_store(error) if isinstance(error, StoreError) else None
    if unavailable is not None:
        log.warning("call.store_failed", method=method, error=error)
        return unavailable
    if isinstance(error, TimeoutError):
        return TooLateError("DEADLINE_EXCEEDED", "the deadline ended before the answer was ready")
    incident = secrets.token_hex(8)
    metrics.add(SERVER_INCIDENTS)
    log.error("call.failed", error, method=method, incident=incident)
    return FaultError(
        "INTERNAL", f"a fault of the server, incident {incident}", metadata={"incident": incident}
    )


async def abort(context: Any, error: RequestError) -> NoReturn:
    """End the call with the error's status."""
    code, message, details = to_status(error)
    trailers: tuple[tuple[str, str | bytes], ...] = (("grpc-status-details-bin", details),)
    if error.retry_after_s is not None:
        # What gRPC itself obeys in a client that repeats calls by its service config.
        trailers += (("grpc-retry-pushback-ms", str(int(error.retry_after_s * 1000))),)
    await context.abort(code, message, trailers)
    raise AssertionError("abort does not return")
