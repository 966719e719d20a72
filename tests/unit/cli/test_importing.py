"""Importing against a real gRPC server that answers as the test says."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
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
from nearcast_cli.importing import PATIENCE_S, Importer
from nearcast_cli.itemfile.batching import batches
from nearcast_cli.itemfile.checkpoint import Checkpoint
from nearcast_cli.itemfile.entries import Entries, Format
from nearcast_cli.itemfile.journal import Journal
from nearcast_cli.itemfile.lines import Lines
from nearcast_cli.itemfile.rejects import Rejects
from nearcast_cli.itemfile.resuming import begin
from nearcast_cli.rows import MOST_BATCH_ITEMS

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
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
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


class File:
    """A file of items, imported by as many runs as it takes."""

    def __init__(self, directory: Path, text: bytes) -> None:
        self.text = text
        self.rejects = directory / "rejects"
        self.checkpoint = Checkpoint(directory / "items.import")

    def run(self, gateway: Gateway, waiting: Waiting, *, parallel: int = 1, restart: bool = False) -> Journal:
        lines = Lines(BytesIO(self.text))
        entries = Entries(lines, Format())
        begun = begin(entries, self.checkpoint, "purpose", restart=restart)
        with Rejects(self.rejects, begun.rejects_bytes) as rejects:
            journal = Journal(begun, rejects, self.checkpoint)
            importer = Importer(
                gateway,
                journal,
                lambda _journal: None,
                parallel=parallel,
                pause=waiting.pause,
                clock=waiting.clock,
            )
            importer.send(batches(entries, lines, begun.beyond))
            journal.finish()
        return journal

    def rejected(self) -> list[int]:
        return [json.loads(line)["line"] for line in self.rejects.read_bytes().splitlines()]


MakeFile = Callable[..., File]


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    def make(*lines: bytes) -> File:
        return File(tmp_path, b"".join(line + b"\n" for line in lines))

    return make


def numbered(count: int) -> list[bytes]:
    return [b'{"item_id": "i%d"}' % number for number in range(count)]


def test_all_lines_are_sent_with_the_key(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    file = make_file(*numbered(2 * MOST_BATCH_ITEMS + 50))
    done = file.run(gateway, waiting)
    assert (done.counted.written, done.counted.created, done.refused) == (1050, 1050, [])
    assert [len(call) for call in catalog.calls] == [MOST_BATCH_ITEMS, MOST_BATCH_ITEMS, 50]
    assert set(catalog.keys) == {"Bearer nc_key"}
    assert file.checkpoint.read() is None


def test_a_server_that_is_away_is_waited_for_as_long_as_it_asks(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    catalog.replies = [away] * 3
    assert make_file(*numbered(1)).run(gateway, waiting).counted.written == 1
    assert catalog.calls == [["i0"]] * 4
    assert len(waiting.pauses) == 3
    assert min(waiting.pauses) >= 2.5


def test_patience_ends_with_what_was_imported(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    catalog.replies = [taken, *[away] * 99]
    with pytest.raises(CommandFailedError, match="stopped after line 500, 500 items imported") as caught:
        make_file(*numbered(600)).run(gateway, waiting)
    assert caught.value.reason == "STORE_UNAVAILABLE"
    assert "goes on from there" in caught.value.advice
    assert waiting.now_s > PATIENCE_S


def test_a_server_that_never_was_there_is_not_waited_for(waiting: Waiting, make_file: MakeFile) -> None:
    with (
        Gateway(Target("127.0.0.1:1", "nc_key")) as nobody,
        pytest.raises(CallFailedError, match=r"nothing answers at 127\.0\.0\.1:1"),
    ):
        make_file(*numbered(1)).run(nobody, waiting)
    assert waiting.pauses == []


def refuse_second(request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
    answer = taken(request, context)
    bad = Outcome(code=3, reason=ERROR_REASON_LATITUDE_OUT_OF_RANGE, field="locations[0]", message="no")
    answer.results[1].outcome.CopyFrom(bad)
    return answer


def test_refused_items_carry_their_line(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    catalog.replies = [refuse_second]
    file = make_file(b'{"item_id": "a"}', b"nonsense", b"", b'{"item_id": "b"}', b'{"item_id": "c"}')
    done = file.run(gateway, waiting)
    assert done.counted.written == 2
    assert [(row.line, row.item_id, row.reason) for row in done.refused] == [
        (2, "", "MALFORMED_MESSAGE"),
        (4, "b", "LATITUDE_OUT_OF_RANGE"),
    ]
    assert file.rejected() == [2, 4]


def test_an_interrupted_import_goes_on_and_settles_every_line_once(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    lines = numbered(4 * MOST_BATCH_ITEMS)
    lines[3] = b"nonsense"
    lines[-1] = b"nonsense too"
    file = make_file(*lines)
    catalog.replies = [refuse_second, taken, *[away] * 99]
    with pytest.raises(CommandFailedError):
        file.run(gateway, waiting)
    answered = catalog.calls[:2]
    catalog.calls, catalog.replies = [], []
    done = file.run(gateway, waiting)
    sent = Counter(item_id for call in [*answered, *catalog.calls] for item_id in call)
    assert set(sent.values()) == {1}
    assert len(sent) == len(lines) - 2
    assert (done.counted.written, done.counted.refused) == (len(lines) - 3, 3)
    assert file.rejected() == [2, 4, len(lines)]
    assert file.checkpoint.read() is None


def test_batches_acknowledged_beyond_one_that_failed_are_not_sent_again(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    """Four are on their way at once; the first of the file fails for good, after the others are taken."""
    others = threading.Barrier(4)

    def first_fails(request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
        others.wait(10)
        if request.items[0].item_id == "i0":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        return taken(request, context)

    catalog.replies = [first_fails] * 4
    file = make_file(*numbered(4 * MOST_BATCH_ITEMS))
    with pytest.raises(CommandFailedError, match="stopped after line 0, 1500 items imported"):
        file.run(gateway, waiting, parallel=4)
    catalog.calls = []
    assert file.run(gateway, waiting, parallel=4).counted.written == 4 * MOST_BATCH_ITEMS
    assert [call[0] for call in catalog.calls] == ["i0"]


def test_two_versions_of_an_item_arrive_in_the_order_of_the_file(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    arrived: list[tuple[str, int]] = []

    def noting(request: UpsertItemsRequest, context: grpc.ServicerContext) -> Answer:
        assert len({item.item_id for item in request.items}) == len(request.items)
        arrived.extend((item.item_id, item.version) for item in request.items)
        return taken(request, context)

    catalog.replies = [noting] * 100
    lines = [b'{"item_id": "i%d", "version": %d}' % (n % 7, 1 + n // 7) for n in range(70)]
    done = make_file(*lines).run(gateway, waiting, parallel=4)
    assert done.counted.written == 70
    for number in range(7):
        assert [v for name, v in arrived if name == f"i{number}"] == list(range(1, 11))


def test_a_file_that_changed_meanwhile_is_refused_until_told_to_begin_anew(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    file = make_file(*numbered(600))
    catalog.replies = [taken, *[away] * 99]
    with pytest.raises(CommandFailedError):
        file.run(gateway, waiting)
    catalog.replies, catalog.calls = [], []
    whole, file.text = file.text, file.text.replace(b"i7", b"x7", 1)
    with pytest.raises(CommandFailedError, match="the file has changed within the 500 lines") as caught:
        file.run(gateway, waiting)
    assert caught.value.reason == "CHECKPOINT_MISMATCH"
    file.text = whole[:1000]
    with pytest.raises(CommandFailedError, match="the file has changed"):
        file.run(gateway, waiting)
    assert catalog.calls == []
    file.text = whole
    assert file.run(gateway, waiting, restart=True).counted.written == 600


def test_a_file_that_has_grown_goes_on(
    gateway: Gateway, catalog: Catalog, waiting: Waiting, make_file: MakeFile
) -> None:
    file = make_file(*numbered(600))
    catalog.replies = [taken, *[away] * 99]
    with pytest.raises(CommandFailedError):
        file.run(gateway, waiting)
    catalog.replies, catalog.calls = [], []
    file.text += b'{"item_id": "more"}\n'
    assert file.run(gateway, waiting).counted.written == 601
    assert sum(len(call) for call in catalog.calls) == 101


def test_a_checkpoint_of_another_server_is_refused(
    gateway: Gateway, waiting: Waiting, make_file: MakeFile
) -> None:
    file = make_file(*numbered(1))
    file.checkpoint.path.write_text('{"purpose": "another"}')
    with pytest.raises(CommandFailedError, match="another server"):
        file.run(gateway, waiting)
    file.checkpoint.path.write_text("nonsense")
    with pytest.raises(CommandFailedError, match="no checkpoint of this version"):
        file.run(gateway, waiting)


def test_a_refused_call_tells_the_first_field_and_lists_all(gateway: Gateway) -> None:
    with pytest.raises(CallFailedError) as caught:
        gateway.call(gateway.catalog.GetItem, GetItemRequest())
    error = caught.value
    assert (error.reason, error.field, error.message) == ("ID_LENGTH", "item_id", "must not be empty")
    violations = error.details["violations"]
    assert isinstance(violations, list)
    assert [violation["field"] for violation in violations] == ["item_id", "read_mask"]
