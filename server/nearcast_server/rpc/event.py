"""EventService on the wire."""

import math

import msgspec
from google.protobuf.struct_pb2 import Struct, Value

from nearcast.v1 import event_pb2
from nearcast_catalogue.checking import Violation
from nearcast_server.asking import Person
from nearcast_server.errors import InvalidRequestError
from nearcast_server.recording import MOST_EVENT_BYTES, MOST_EVENTS, Judged, Recorder, Report
from nearcast_server.rpc.items import to_seconds
from nearcast_server.rpc.outcomes import to_outcome
from nearcast_server.rpc.queries import check_batch, to_person
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.metrics import SERVER_EVENTS_ACCEPTED, SERVER_EVENTS_REJECTED, Metrics

MOST_PROPERTIES = 64
MOST_PROPERTY_KEY_CHARS = 64
MOST_PROPERTIES_BYTES = 8192
DEEPEST_PROPERTY = 4
MOST_ANSWER_BYTES = 65_536
MOST_MESSAGES = 100


class EventService:
    """What people saw and did."""

    def __init__(self, recorder: Recorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    async def RecordEvents(
        self, caller: Caller, request: event_pb2.RecordEventsRequest
    ) -> event_pb2.RecordEventsResponse:
        """Take events, each by itself."""
        check_batch("events", len(request.events), MOST_EVENTS)
        recorded = await self._recorder.record(
            caller.tenant_id, [to_report(event) for event in request.events]
        )
        for judged in recorded.judged:
            self._observe(judged)
        answer = event_pb2.RecordEventsResponse(
            results=[
                event_pb2.EventResult(
                    outcome=to_outcome(judged.outcome),
                    learned=judged.learned,
                )
                for judged in recorded.judged
            ],
            durability=f"DURABILITY_{recorded.durability.name if recorded.durability else 'UNSPECIFIED'}",
        )
        return _bounded(answer)

    def _observe(self, judged: Judged) -> None:
        if judged.event is not None:
            self._metrics.add(SERVER_EVENTS_ACCEPTED, 1, "true" if judged.learned else "false")
        elif judged.outcome.code != "OK":
            self._metrics.add(SERVER_EVENTS_REJECTED, 1, judged.outcome.reason)


def _bounded(answer: event_pb2.RecordEventsResponse) -> event_pb2.RecordEventsResponse:
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
        occurred = (
            to_seconds("occurred_at", event.occurred_at, "TIMESTAMP_RANGE")
            if event.HasField("occurred_at")
            else None
        )
        return _report(
            event,
            size,
            person=to_person("person", event.person),
            occurred_at_us=None if occurred is None else round(occurred * 1e6),
            properties=_properties(event.properties) if event.HasField("properties") else b"",
        )
    except InvalidRequestError as error:
        return _report(event, size, problem=error.violations[0])


def _report(
    event: event_pb2.Event,
    size: int,
    *,
    person: Person | None = None,
    occurred_at_us: int | None = None,
    properties: bytes = b"",
    problem: Violation | None = None,
) -> Report:
    return Report(
        kind=event.kind,
        reward_token=event.reward_token,
        event_id=event.event_id,
        item_id=event.item_id,
        person=person or Person(),
        session_id=event.session_id,
        occurred_at_us=occurred_at_us,
        value=event.value if event.HasField("value") else None,
        properties=properties,
        size_bytes=size,
        problem=problem,
    )


def _properties(struct: Struct) -> bytes:
    """JSON that Postgres can hold."""
    if len(struct.fields) > MOST_PROPERTIES:
        raise _limit(f"must have at most {MOST_PROPERTIES} entries, got {len(struct.fields)}")
    text = msgspec.json.encode(_plain(struct, 1))
    if len(text) > MOST_PROPERTIES_BYTES:
        raise _limit(f"must have at most {MOST_PROPERTIES_BYTES} bytes as JSON, got {len(text)}")
    return text


def _plain(struct: Struct, depth: int) -> dict[str, object]:
    if depth > DEEPEST_PROPERTY:
        raise _limit(f"must be nested at most {DEEPEST_PROPERTY} deep")
    for key in struct.fields:
        if not 1 <= len(key) <= MOST_PROPERTY_KEY_CHARS or "\0" in key:
            raise _limit(f"must have keys of 1 to {MOST_PROPERTY_KEY_CHARS} characters without NUL")
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
            if not math.isfinite(value.number_value):
                raise _limit("must hold finite numbers")
            return value.number_value
        case "string_value":
            if "\0" in value.string_value:
                raise _limit("must hold text without NUL")
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _limit(rule: str) -> InvalidRequestError:
    return InvalidRequestError.of("properties", "PROPERTIES_LIMIT", rule)
