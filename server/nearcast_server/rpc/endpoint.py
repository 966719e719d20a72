"""The one wrapper around every handler: bytes in, bytes out.

It stands where interceptors would: it knows the caller, the deadline and the error table, and lets
nothing else out. The request is parsed here and not by gRPC, because gRPC answers a malformed one
with the parser's own words.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from nearcast_server.errors import (
    FaultError,
    ForbiddenError,
    InvalidRequestError,
    RequestError,
    TooLateError,
    UnavailableError,
)
from nearcast_server.rpc.status import CODES, from_store, to_status
from nearcast_store.errors import StoreError
from nearcast_store.tenants.protocol import Caller, Role
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import SERVER_CALL_SECONDS, SERVER_INCIDENTS, Metrics

Handle = Callable[[Caller, Any], Awaitable[Message]]
log = logger("gateway")


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
    ) -> None:
        self._method = method
        self._callers = callers
        self._deadlines = deadlines
        self._in_flight = in_flight
        self._metrics = metrics

    async def call(self, raw: bytes, context: Any) -> bytes:
        """Answer one call."""
        with self._in_flight:
            return await self._call(raw, context)

    async def _call(self, raw: bytes, context: Any) -> bytes:
        started = perf_counter()
        code = "OK"
        try:
            async with asyncio.timeout(self._deadlines.of(context.time_remaining())):
                return await self._answer(raw, context)
        except asyncio.CancelledError:
            code = "CANCELLED"
            if context.cancelled():
                raise
            # An inner cancellation that escapes would leave the caller without any status.
            return await self._abort(
                context,
                UnavailableError("SERVER_NOT_READY", "the server is stopping; call again", retry_after_s=1.0),
            )
        except Exception as error:  # noqa: BLE001 - the last line of defence
            refusal = self._refusal(error)
            code = CODES[type(refusal)].name
            return await self._abort(context, refusal)
        finally:
            self._metrics.observe(SERVER_CALL_SECONDS, perf_counter() - started, self._method.name, code)

    async def _answer(self, raw: bytes, context: Any) -> bytes:
        caller = await self._callers.identify(context.invocation_metadata())
        if caller.role not in self._method.roles:
            raise ForbiddenError(
                "INSUFFICIENT_SCOPE",
                f"a key with role {caller.role} may not call {self._method.name}",
                metadata={"role": caller.role, "allowed": ",".join(sorted(self._method.roles))},
            )
        request = self._method.request_type()
        try:
            request.ParseFromString(raw)
        except DecodeError:
            raise InvalidRequestError.of(
                "", "MALFORMED_MESSAGE", f"the body is no {self._method.request_type.DESCRIPTOR.full_name}"
            ) from None
        return (await self._method.handle(caller, request)).SerializeToString()

    def _refusal(self, error: Exception) -> RequestError:
        if isinstance(error, RequestError):
            return error
        unavailable = from_store(error) if isinstance(error, StoreError) else None
        if unavailable is not None:
            log.warning("call.store_failed", method=self._method.name, error=error)
            return unavailable
        if isinstance(error, TimeoutError):
            return TooLateError("DEADLINE_EXCEEDED", "the deadline ended before the answer was ready")
        incident = secrets.token_hex(8)
        self._metrics.add(SERVER_INCIDENTS)
        log.error("call.failed", error, method=self._method.name, incident=incident)
        return FaultError(
            "INTERNAL", f"a fault of the server, incident {incident}", metadata={"incident": incident}
        )

    @staticmethod
    async def _abort(context: Any, error: RequestError) -> bytes:
        code, message, details = to_status(error)
        await context.abort(code, message, (("grpc-status-details-bin", details),))
        raise AssertionError("abort does not return")
