"""From our errors to gRPC statuses: the whole error behaviour of the service on one page."""

from collections.abc import Iterable

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from nearcast_catalogue.checking import Violation
from nearcast_server.errors import (
    ChangedError,
    ExhaustedError,
    FaultError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    RequestError,
    TooLateError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
)
from nearcast_store.errors import (
    IndexUnavailableError,
    LogUnavailableError,
    SchemaError,
    SeenUnavailableError,
    StoreError,
    StoreUnavailableError,
)

DOMAIN = "nearcast"
# Above about 8 KB gRPC clients drop the trailer and the caller loses the whole error.
MOST_DETAIL_BYTES = 4096
MOST_VIOLATIONS = 16

CODES: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    ChangedError: grpc.StatusCode.ABORTED,
    UnsupportedError: grpc.StatusCode.FAILED_PRECONDITION,
    ExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    TooLateError: grpc.StatusCode.DEADLINE_EXCEEDED,
    FaultError: grpc.StatusCode.INTERNAL,
}

_STORES: dict[type[StoreError], tuple[str, str]] = {
    StoreUnavailableError: ("STORE_UNAVAILABLE", "the record does not answer; send the same call again"),
    SeenUnavailableError: ("STORE_UNAVAILABLE", "the record does not answer; send the same call again"),
    SchemaError: ("STORE_UNAVAILABLE", "the record is being upgraded; send the same call again"),
    IndexUnavailableError: (
        "CANDIDATES_UNAVAILABLE",
        "the index of items does not answer; send the same call again",
    ),
    LogUnavailableError: (
        "LOG_UNAVAILABLE",
        "the event log does not answer; whether the events were taken is unknown, send the same call again",
    ),
}


def from_store(error: StoreError) -> UnavailableError | None:
    """What a caller is told when a store does not answer; None for any other fault."""
    for kind, (reason, message) in _STORES.items():
        if isinstance(error, kind):
            return UnavailableError(reason, message, retry_after_s=1.0)
    return None


def to_status(error: RequestError) -> tuple[grpc.StatusCode, str, bytes]:
    """Code, message and the serialised google.rpc.Status for `grpc-status-details-bin`."""
    code = CODES[type(error)]
    message = error.message[:512]
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.retry_after_s is not None:
        delay = Duration(nanos=int(error.retry_after_s * 1e9) % 10**9, seconds=int(error.retry_after_s))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    if error.violations:
        _add_violations(status, error.violations)
    return code, message, status.SerializeToString()


def _add_violations(status: Status, violations: Iterable[Violation]) -> None:
    """As many as fit: a truncated list is worth more than a lost error."""
    bad = BadRequest()
    packed = Any()
    for violation in list(violations)[:MOST_VIOLATIONS]:
        bad.field_violations.add(
            field=violation.field[:256], description=violation.message[:256], reason=violation.reason
        )
        packed.Pack(bad)
        if status.ByteSize() + packed.ByteSize() > MOST_DETAIL_BYTES - 64:
            del bad.field_violations[-1]
            break
    status.details.add().Pack(bad)
