"""Importing against a real gRPC server that answers as the test says."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from nearcast.v1.catalog_pb2 import GetItemRequest, GetItemResponse, ItemResult, UpsertItemsRequest
from nearcast.v1.catalog_pb2 import UpsertItemsResponse as Answer
from nearcast.v1.error_reason_pb2 import ERROR_REASON_LATITUDE_OUT_OF_RANGE
from nearcast.v1.outcome_pb2 import Outcome
from nearcast_cli.calling import CallFailedError, Gateway
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Target
from nearcast_cli.importing import PATIENCE_S, Imported, import_items

Reply = Callable[[UpsertItemsRequest, grpc.ServicerContext], Answer]


AWAY = (
    ErrorInfo(reason="STORE_UNAVAILABLE", domain="nearcast"),
    RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000)),
)


def away(_request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
    """End the call as a gateway does whose Postgres is away."""
    status = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="the record does not answer")
    for detail in AWAY:
        status.details.add().Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNAVAILABLE, "the record does not answer")


def taken(request: UpsertItemsRequest, _context: grpc.ServicerContext) -> Answer:
    return Answer(results=[ItemResult(item_id=item.item_id, created=True) for item in request.items])


class Catalog:
    """Answers call by call; after the last reply everything is taken."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.calls: list[list[str]] = []
        self.keys: list[str] = []

    def handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "UpsertItems": grpc.unary_unary_rpc_method_handler(
                self.upsert, UpsertItemsRequest.FromString, Answer.SerializeToString
            ),
            "GetItem": grpc.unary_unary_rpc_method_handler(
                self.get, GetItemRequest.FromString, GetItemResponse.SerializeToString
            ),
        }
        return grpc.method_handlers_generic_handler("nearcast.v1.CatalogService", methods)

    def upsert(self, request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
        self.calls.append([item.item_id for item in request.items])
        self.keys.append(str(dict(context.invocation_metadata()).get("authorization")))
        reply = self.replies.pop(0) if self.replies else taken
        return reply(request, context)

    def get(self, request: GetItemRequest, context: grpc.ServicerContext) -> GetItemResponse:
        bad = BadRequest()
        bad.field_violations.add(field="item_id", description="must not be empty", reason="ID_LENGTH")
        bad.field_violations.add(field="read_mask", description="names nothing", reason="READ_MASK_INVALID")
        status = Status(code=3, message="the request is not valid")
        status.details.add().Pack(ErrorInfo(reason="ID_LENGTH", domain="nearcast"))
        status.details.add().Pack(bad)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request is not valid")


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def gateway(catalog: Catalog) -> Iterator[Gateway]:
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((catalog.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Gateway(Target(f"127.0.0.1:{port}", "nc_key")) as connected:
        yield connected
    server.stop(None).wait()


class Waiting:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


def run(gateway: Gateway, waiting: Waiting, count: int) -> Imported:
    lines = [b'{"item_id": "i%d"}' % number for number in range(count)]
    return import_items(gateway, lines, lambda _done: None, waiting.pause, waiting.clock)


def test_all_lines_are_sent_with_the_key(gateway: Gateway, catalog: Catalog, waiting: Waiting) -> None:
    done = run(gateway, waiting, 450)
    assert (done.written, done.created, done.refused) == (450, 450, [])
    assert [len(call) for call in catalog.calls] == [200, 200, 50]
    assert set(catalog.keys) == {"Bearer nc_key"}


def test_a_server_that_is_away_is_waited_for_as_long_as_it_asks(
    gateway: Gateway, catalog: Catalog, waiting: Waiting
) -> None:
    catalog.replies = [away] * 3
    assert run(gateway, waiting, 1).written == 1
    assert catalog.calls == [["i0"]] * 4
    assert len(waiting.pauses) == 3
    assert min(waiting.pauses) >= 2.5


def test_patience_ends_with_what_was_imported(gateway: Gateway, catalog: Catalog, waiting: Waiting) -> None:
    catalog.replies = [taken, *[away] * 99]
    with pytest.raises(CommandFailedError, match="stopped after line 200, 200 items imported") as caught:
        run(gateway, waiting, 300)
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert waiting.now_s > PATIENCE_S


def test_a_server_that_never_was_there_is_not_waited_for(waiting: Waiting) -> None:
    with (
        Gateway(Target("127.0.0.1:1", "nc_key")) as nobody,
        pytest.raises(CallFailedError, match=r"nothing answers at 127\.0\.0\.1:1"),
    ):
        run(nobody, waiting, 1)
    assert waiting.pauses == []


def test_refused_items_carry_their_line(gateway: Gateway, catalog: Catalog, waiting: Waiting) -> None:
    def refuse_second(request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
        answer = taken(request, context)
        bad = Outcome(code=3, reason=ERROR_REASON_LATITUDE_OUT_OF_RANGE, field="locations[0]", message="no")
        answer.results[1].outcome.CopyFrom(bad)
        return answer

    catalog.replies = [refuse_second]
    lines = [b'{"item_id": "a"}', b"nonsense", b"", b'{"item_id": "b"}', b'{"item_id": "c"}']
    done = import_items(gateway, lines, lambda _done: None, waiting.pause, waiting.clock)
    assert done.written == 2
    assert [(row.line, row.item_id, row.reason) for row in done.refused] == [
        (2, "", "MALFORMED_MESSAGE"),
        (4, "b", "LATITUDE_OUT_OF_RANGE"),
    ]


def test_a_refused_call_tells_the_first_field_and_lists_all(gateway: Gateway) -> None:
    with pytest.raises(CallFailedError) as caught:
        gateway.call(gateway.catalog.GetItem, GetItemRequest())
    error = caught.value
    assert (error.reason, error.field, error.message) == ("ID_LENGTH", "item_id", "must not be empty")
    violations = error.details["violations"]
    assert isinstance(violations, list)
    assert [violation["field"] for violation in violations] == ["item_id", "read_mask"]
