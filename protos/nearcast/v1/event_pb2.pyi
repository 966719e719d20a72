import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nearcast.v1 import outcome_pb2 as _outcome_pb2
from nearcast.v1 import person_pb2 as _person_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamEnd(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STREAM_END_UNSPECIFIED: _ClassVar[StreamEnd]
    STREAM_END_IDLE: _ClassVar[StreamEnd]
    STREAM_END_AGE: _ClassVar[StreamEnd]
    STREAM_END_DRAIN: _ClassVar[StreamEnd]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_MEMORY: _ClassVar[Durability]
    DURABILITY_EVERYSEC: _ClassVar[Durability]
    DURABILITY_FSYNC: _ClassVar[Durability]
    DURABILITY_REPLICATED: _ClassVar[Durability]
STREAM_END_UNSPECIFIED: StreamEnd
STREAM_END_IDLE: StreamEnd
STREAM_END_AGE: StreamEnd
STREAM_END_DRAIN: StreamEnd
DURABILITY_UNSPECIFIED: Durability
DURABILITY_MEMORY: Durability
DURABILITY_EVERYSEC: Durability
DURABILITY_FSYNC: Durability
DURABILITY_REPLICATED: Durability

class RecordEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("results", "durability", "advised_events")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    ADVISED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    durability: Durability
    advised_events: int
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ..., durability: _Optional[_Union[Durability, str]] = ..., advised_events: _Optional[int] = ...) -> None: ...

class StreamEventsRequest(_message.Message):
    __slots__ = ("hello", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: StreamHello
    batch: EventBatch
    def __init__(self, hello: _Optional[_Union[StreamHello, _Mapping]] = ..., batch: _Optional[_Union[EventBatch, _Mapping]] = ...) -> None: ...

class StreamHello(_message.Message):
    __slots__ = ("version", "resume_after", "client_name")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_NAME_FIELD_NUMBER: _ClassVar[int]
    version: int
    resume_after: int
    client_name: str
    def __init__(self, version: _Optional[int] = ..., resume_after: _Optional[int] = ..., client_name: _Optional[str] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("sequence", "events")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, sequence: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class StreamEventsResponse(_message.Message):
    __slots__ = ("welcome", "ack", "goodbye")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    welcome: StreamWelcome
    ack: BatchAck
    goodbye: StreamGoodbye
    def __init__(self, welcome: _Optional[_Union[StreamWelcome, _Mapping]] = ..., ack: _Optional[_Union[BatchAck, _Mapping]] = ..., goodbye: _Optional[_Union[StreamGoodbye, _Mapping]] = ...) -> None: ...

class StreamWelcome(_message.Message):
    __slots__ = ("window", "advised_events", "idle_after_s")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ADVISED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    IDLE_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    window: int
    advised_events: int
    idle_after_s: float
    def __init__(self, window: _Optional[int] = ..., advised_events: _Optional[int] = ..., idle_after_s: _Optional[float] = ...) -> None: ...

class BatchAck(_message.Message):
    __slots__ = ("sequence", "durability", "accepted", "learned", "results", "refusal", "advised_events")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ADVISED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    durability: Durability
    accepted: int
    learned: int
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    refusal: _outcome_pb2.Outcome
    advised_events: int
    def __init__(self, sequence: _Optional[int] = ..., durability: _Optional[_Union[Durability, str]] = ..., accepted: _Optional[int] = ..., learned: _Optional[int] = ..., results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ..., refusal: _Optional[_Union[_outcome_pb2.Outcome, _Mapping]] = ..., advised_events: _Optional[int] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("index", "outcome", "learned")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    index: int
    outcome: _outcome_pb2.Outcome
    learned: bool
    def __init__(self, index: _Optional[int] = ..., outcome: _Optional[_Union[_outcome_pb2.Outcome, _Mapping]] = ..., learned: _Optional[bool] = ...) -> None: ...

class StreamGoodbye(_message.Message):
    __slots__ = ("reason", "resume_after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: StreamEnd
    resume_after: int
    def __init__(self, reason: _Optional[_Union[StreamEnd, str]] = ..., resume_after: _Optional[int] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "reward_token", "event_id", "item_id", "person", "session_id", "occurred_at", "value", "properties", "slate_token", "seen", "dwell_ms")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REWARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    SLATE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    DWELL_MS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    reward_token: str
    event_id: str
    item_id: str
    person: _person_pb2.Person
    session_id: str
    occurred_at: _timestamp_pb2.Timestamp
    value: float
    properties: _struct_pb2.Struct
    slate_token: str
    seen: bytes
    dwell_ms: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, kind: _Optional[str] = ..., reward_token: _Optional[str] = ..., event_id: _Optional[str] = ..., item_id: _Optional[str] = ..., person: _Optional[_Union[_person_pb2.Person, _Mapping]] = ..., session_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., properties: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., slate_token: _Optional[str] = ..., seen: _Optional[bytes] = ..., dwell_ms: _Optional[_Iterable[int]] = ...) -> None: ...

class EventResult(_message.Message):
    __slots__ = ("outcome", "learned")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    outcome: _outcome_pb2.Outcome
    learned: bool
    def __init__(self, outcome: _Optional[_Union[_outcome_pb2.Outcome, _Mapping]] = ..., learned: _Optional[bool] = ...) -> None: ...
