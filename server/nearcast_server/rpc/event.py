"""EventService on the wire."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from google.protobuf.struct_pb2 import Struct, Value

from nearcast.v1 import event_pb2
from nearcast_catalogue.checking import Violation
from nearcast_catalogue.outcomes import refused
from nearcast_ledger.person import Person
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS
from nearcast_server.errors import InvalidRequestError
from nearcast_server.gate import Gate
from nearcast_server.recording import MOST_EVENTS, Recorded, Recorder
from nearcast_server.rpc.eventstream import EventStream
from nearcast_server.rpc.items import to_seconds
from nearcast_server.rpc.openstream import Stream
from nearcast_server.rpc.outcomes import to_outcome
from nearcast_server.rpc.queries import check_batch, to_person
from nearcast_store.intake.judging import MOST_EVENT_BYTES, Judged, Report
from nearcast_store.intake.properties import DEEPEST_PROPERTY, MOST_PROPERTIES, encode_properties
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.eventmetrics import SERVER_EVENTS_ACCEPTED, SERVER_EVENTS_REJECTED
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.streammetrics import SERVER_STREAM_BATCHES_REFUSED

MOST_ANSWER_BYTES = 65_536
MOST_MESSAGES = 100
NOBODY = Person()
# Kind and reward token: a byte each that names the field, and one and two for their lengths.
_PLAIN_BYTES = 5

Answer = TypeVar("Answer", event_pb2.RecordEventsResponse, event_pb2.BatchAck)
log = logger("gateway")


class EventService:
    """What people saw and did."""

    def __init__(self, recorder: Recorder, metrics: Metrics, gate: Gate, window: int = 8) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._window = window
        self._gate = gate

    async def RecordEvents(
        self, caller: Caller, request: event_pb2.RecordEventsRequest
    ) -> event_pb2.RecordEventsResponse:
        """Take events, each by itself."""
        with self._gate.call(caller.tenant_id):
            return await self._record(caller, request)

    async def _record(
        self, caller: Caller, request: event_pb2.RecordEventsRequest
    ) -> event_pb2.RecordEventsResponse:
        check_batch("events", len(request.events), MOST_EVENTS)
        with self._gate.append():
            recorded = await self._recorder.record(
                caller.tenant_id, [to_report(event) for event in request.events]
            )
        self._observe(recorded.judged)
        answer = event_pb2.RecordEventsResponse(
            results=[
                event_pb2.EventResult(
                    outcome=to_outcome(judged.outcome),
                    learned=judged.learned,
                )
                for judged in recorded.judged
            ],
            durability=_durability(recorded),
            advised_events=self._gate.standing.advised_events,
        )
        return _bounded(answer)

    async def StreamEvents(self, caller: Caller, stream: Stream) -> None:
        """Take events in batches until one side ends the stream."""
        events = EventStream(
            stream, partial(self._take, caller.tenant_id), self._window, self._gate, self._metrics
        )
        try:
            with self._gate.stream(caller.tenant_id):
                await events.run()
        finally:
            log.info(
                "stream.ended",
                tenant=caller.tenant,
                client=events.client_name,
                acknowledged=events.acknowledged,
                end=stream.ended.value if stream.ended else "",
            )

    async def _take(self, tenant_id: int, batch: event_pb2.EventBatch) -> event_pb2.BatchAck:
        try:
            check_batch("events", len(batch.events), MOST_EVENTS)
        except InvalidRequestError as error:
            self._metrics.add(SERVER_STREAM_BATCHES_REFUSED, 1, error.reason)
            return event_pb2.BatchAck(refusal=to_outcome(refused(error.violations[0])))
        with self._gate.append():
            recorded = await self._recorder.record(tenant_id, [to_report(event) for event in batch.events])
        ack = event_pb2.BatchAck(durability=_durability(recorded))
        self._observe(recorded.judged)
        ack.accepted = sum(judged.outcome.code == "OK" for judged in recorded.judged)
        ack.learned = sum(judged.learned for judged in recorded.judged)
        for index, judged in enumerate(recorded.judged):
            if judged.outcome.code != "OK" or judged.outcome.reason not in {"", "TOKEN_MISSING"}:
                ack.results.add(index=index, outcome=to_outcome(judged.outcome), learned=judged.learned)
        return _bounded(ack)

    def _observe(self, batch: Sequence[Judged]) -> None:
        accepted: Counter[bool] = Counter()
        rejected: Counter[str] = Counter()
        for judged in batch:
            if judged.event is not None:
                accepted[judged.learned] += 1 + len(judged.more)
            elif judged.outcome.code != "OK":
                rejected[judged.outcome.reason] += 1
        for learned, count in accepted.items():
            self._metrics.add(SERVER_EVENTS_ACCEPTED, count, str(learned).lower())
        for reason, count in rejected.items():
            self._metrics.add(SERVER_EVENTS_REJECTED, count, reason)


def _durability(recorded: Recorded) -> str:
    return f"DURABILITY_{recorded.durability.name if recorded.durability else 'UNSPECIFIED'}"


def _bounded(answer: Answer) -> Answer:
    """Every code and reason; where words for all are too much for a phone, only the first have any."""
    if answer.ByteSize() > MOST_ANSWER_BYTES:
        for result in answer.results[MOST_MESSAGES:]:
            result.outcome.ClearField("message")
    return answer


def to_report(event: event_pb2.Event) -> Report:
    """The event in plain values; what its form alone cannot be is told with it, so others still count."""
    size = event.ByteSize()
    if size > MOST_EVENT_BYTES:
        return _report(event, size)
    try:
        occurred, occurred_bytes = None, 0
        if event.HasField("occurred_at"):
            stamp = event.occurred_at
            occurred, occurred_bytes = (
                to_seconds("occurred_at", stamp, "TIMESTAMP_RANGE"),
                stamp.ByteSize() + 2,
            )
        kind, token = event.kind, event.reward_token
        occurred_at_us = None if occurred is None else round(occurred * 1e6)
        # Most events say no more than this: where it takes all of their bytes there is nothing else to see.
        plain = kind != "" and len(token) == REWARD_TOKEN_CHARS
        if plain and size == len(kind) + len(token) + occurred_bytes + _PLAIN_BYTES:
            return Report(kind, token, "", "", NOBODY, "", occurred_at_us, None, b"", size)
        return _report(
            event,
            size,
            person=to_person("person", event.person) if event.HasField("person") else NOBODY,
            occurred_at_us=occurred_at_us,
            properties=_properties(event.properties) if event.HasField("properties") else b"",
        )
    except InvalidRequestError as error:
        return _report(event, size, problem=error.violations[0])


def _report(
    event: event_pb2.Event,
    size: int,
    *,
    person: Person = NOBODY,
    occurred_at_us: int | None = None,
    properties: bytes = b"",
    problem: Violation | None = None,
) -> Report:
    return Report(
        kind=event.kind,
        reward_token=event.reward_token,
        event_id=event.event_id,
        item_id=event.item_id,
        person=person,
        session_id=event.session_id,
        occurred_at_us=occurred_at_us,
        value=event.value if event.HasField("value") else None,
        properties=properties,
        size_bytes=size,
        problem=problem,
        slate_token=event.slate_token,
        seen=event.seen,
        dwell_ms=tuple(event.dwell_ms) if event.dwell_ms else (),
    )


def _properties(struct: Struct) -> bytes:
    """JSON that Postgres can hold."""
    if len(struct.fields) > MOST_PROPERTIES:
        raise _limit(f"must have at most {MOST_PROPERTIES} entries, got {len(struct.fields)}")
    encoded = encode_properties(_plain(struct, 1))
    if isinstance(encoded, Violation):
        raise InvalidRequestError.of(encoded.field, encoded.reason, encoded.message)
    return encoded


def _plain(struct: Struct, depth: int) -> dict[str, object]:
    if depth > DEEPEST_PROPERTY:
        raise _limit(f"must be nested at most {DEEPEST_PROPERTY} deep")
    return {key: _value(value, depth) for key, value in struct.fields.items()}


def _value(value: Value, depth: int) -> object:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _plain(value.struct_value, depth + 1)
        case "list_value":
            if depth + 1 > DEEPEST_PROPERTY:
                raise _limit(f"must be nested at most {DEEPEST_PROPERTY} deep")
            return [_value(entry, depth + 1) for entry in value.list_value.values]
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _limit(rule: str) -> InvalidRequestError:
    return InvalidRequestError.of("properties", "PROPERTIES_LIMIT", rule)
