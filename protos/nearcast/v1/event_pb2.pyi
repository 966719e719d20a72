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

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_MEMORY: _ClassVar[Durability]
    DURABILITY_EVERYSEC: _ClassVar[Durability]
    DURABILITY_FSYNC: _ClassVar[Durability]
    DURABILITY_REPLICATED: _ClassVar[Durability]
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
    __slots__ = ("results", "durability")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    durability: Durability
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ..., durability: _Optional[_Union[Durability, str]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "reward_token", "event_id", "item_id", "person", "session_id", "occurred_at", "value", "properties")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REWARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    reward_token: str
    event_id: str
    item_id: str
    person: _person_pb2.Person
    session_id: str
    occurred_at: _timestamp_pb2.Timestamp
    value: float
    properties: _struct_pb2.Struct
    def __init__(self, kind: _Optional[str] = ..., reward_token: _Optional[str] = ..., event_id: _Optional[str] = ..., item_id: _Optional[str] = ..., person: _Optional[_Union[_person_pb2.Person, _Mapping]] = ..., session_id: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., properties: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class EventResult(_message.Message):
    __slots__ = ("outcome", "learned")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    outcome: _outcome_pb2.Outcome
    learned: bool
    def __init__(self, outcome: _Optional[_Union[_outcome_pb2.Outcome, _Mapping]] = ..., learned: _Optional[bool] = ...) -> None: ...
