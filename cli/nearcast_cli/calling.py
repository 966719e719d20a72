"""Calls to a gateway, and its refusals in words."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from nearcast.v1.catalog_pb2_grpc import CatalogServiceStub
from nearcast.v1.event_pb2_grpc import EventServiceStub
from nearcast.v1.recommend_pb2_grpc import RecommendServiceStub
from nearcast.v1.stats_pb2_grpc import StatsServiceStub
from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Target, how_to_start

Answer = TypeVar("Answer", bound=Message)
DEADLINE_S = 15.0
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

_ADVICE = {
    "MISSING_CREDENTIALS": "Give a key with --api-key or NEARCAST_API_KEY.",
    "INVALID_API_KEY": "Check --api-key; make one with:  {nearcast} keys create",
    "INSUFFICIENT_SCOPE": "Use a key of another role; make one with:  {nearcast} keys create --role operator",
    "SEGMENT_UNKNOWN": "See the segments with:  {nearcast} policy show",
    "SCENARIO_UNKNOWN": "See the scenarios with:  {nearcast} policy show",
    "MARKET_UNKNOWN": "See the markets with:  {nearcast} markets list",
    "KIND_UNKNOWN": "See the kinds with:  {nearcast} policy show",
}


class CallFailedError(CommandFailedError):
    """A gateway refused a call or did not answer."""

    def __init__(self, error: grpc.RpcError, address: str) -> None:
        self.code: grpc.StatusCode = error.code()
        self.retry_after_s: float | None = None
        reason, field, violations = self._read(error)
        self.unreached = self.code is grpc.StatusCode.UNAVAILABLE and not reason
        message, advice = error.details() or "", _advice(reason)
        if violations:
            message, field = violations[0]["message"], violations[0]["field"]
            reason = violations[0]["reason"] or reason
            advice = _advice(reason)
        if self.unreached:
            message, reason, advice = f"nothing answers at {address}", "NO_SERVER", how_to_start()
        elif self.code is grpc.StatusCode.UNAVAILABLE:
            advice = advice or "It is away for the moment; try again."
        details: dict[str, object] = {"code": self.code.name}
        if len(violations) > 1:
            details["violations"] = violations
        super().__init__(
            message, reason=reason or self.code.name, field=field, advice=advice, details=details
        )

    def _read(self, error: grpc.RpcError) -> tuple[str, str, list[dict[str, str]]]:
        reason, field = "", ""
        violations: list[dict[str, str]] = []
        for detail in _details(error):
            if detail.Is(ErrorInfo.DESCRIPTOR):
                info = ErrorInfo.FromString(detail.value)
                reason, field = info.reason, info.metadata.get("field", "")
            elif detail.Is(RetryInfo.DESCRIPTOR):
                delay = RetryInfo.FromString(detail.value).retry_delay
                self.retry_after_s = delay.seconds + delay.nanos / 1e9
            elif detail.Is(BadRequest.DESCRIPTOR):
                violations += [
                    {"field": bad.field, "reason": bad.reason, "message": bad.description}
                    for bad in BadRequest.FromString(detail.value).field_violations
                ]
        return reason, field, violations


def _advice(reason: str) -> str:
    return _ADVICE.get(reason, "").format(nearcast=command_name())


def _details(error: grpc.RpcError) -> list[Any]:
    metadata: list[Any] = list(error.trailing_metadata() or ())
    packed = next((value for name, value in metadata if name == "grpc-status-details-bin"), None)
    return list(Status.FromString(packed).details) if packed else []


class Gateway:
    """A connection to one gateway; use it as a context."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = grpc.insecure_channel(
            target.address,
            options=[
                ("grpc.max_receive_message_length", LARGEST_ANSWER_BYTES),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.http2.ping_timeout_ms", 10_000),
                ("grpc.initial_reconnect_backoff_ms", 200),
                ("grpc.max_reconnect_backoff_ms", 2_000),
            ],
        )
        self.catalog = CatalogServiceStub(self._channel)
        self.recommend = RecommendServiceStub(self._channel)
        self.events = EventServiceStub(self._channel)
        self.stats = StatsServiceStub(self._channel)

    def call(self, method: Callable[..., Answer], request: Message) -> Answer:
        """One call; CallFailedError when it is refused."""
        metadata = (("authorization", f"Bearer {self._target.api_key}"),)
        try:
            return method(request, timeout=DEADLINE_S, metadata=metadata)
        except grpc.RpcError as error:
            raise CallFailedError(error, self._target.address) from error

    def stream(
        self, method: Callable[..., Iterator[Answer]], requests: Iterator[Message] | Message
    ) -> Iterator[Answer]:
        """What comes back on a stream, of requests or after one; CallFailedError when it ends with one."""
        metadata = (("authorization", f"Bearer {self._target.api_key}"),)
        try:
            yield from method(requests, metadata=metadata)
        except grpc.RpcError as error:
            raise CallFailedError(error, self._target.address) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
