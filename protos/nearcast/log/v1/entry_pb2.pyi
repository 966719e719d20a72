from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogEntry(_message.Message):
    __slots__ = ("format", "tenant_id", "received_at_us", "gateway_id", "durability", "events", "packing", "decisions", "packed_events", "details")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PACKING_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    PACKED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    format: int
    tenant_id: int
    received_at_us: int
    gateway_id: str
    durability: int
    events: _containers.RepeatedCompositeFieldContainer[LoggedEvent]
    packing: int
    decisions: bytes
    packed_events: bytes
    details: _containers.RepeatedCompositeFieldContainer[LoggedEvent]
    def __init__(self, format: _Optional[int] = ..., tenant_id: _Optional[int] = ..., received_at_us: _Optional[int] = ..., gateway_id: _Optional[str] = ..., durability: _Optional[int] = ..., events: _Optional[_Iterable[_Union[LoggedEvent, _Mapping]]] = ..., packing: _Optional[int] = ..., decisions: _Optional[bytes] = ..., packed_events: _Optional[bytes] = ..., details: _Optional[_Iterable[_Union[LoggedEvent, _Mapping]]] = ...) -> None: ...

class LoggedEvent(_message.Message):
    __slots__ = ("kind", "claims", "event_id", "item_id", "user_id", "anonymous_id", "session_id", "occurred_at_us", "value", "properties", "learned", "unlearned_reason", "dwell_ms")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_US_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    LEARNED_FIELD_NUMBER: _ClassVar[int]
    UNLEARNED_REASON_FIELD_NUMBER: _ClassVar[int]
    DWELL_MS_FIELD_NUMBER: _ClassVar[int]
    kind: int
    claims: Claims
    event_id: bytes
    item_id: str
    user_id: str
    anonymous_id: str
    session_id: str
    occurred_at_us: int
    value: float
    properties: bytes
    learned: bool
    unlearned_reason: int
    dwell_ms: int
    def __init__(self, kind: _Optional[int] = ..., claims: _Optional[_Union[Claims, _Mapping]] = ..., event_id: _Optional[bytes] = ..., item_id: _Optional[str] = ..., user_id: _Optional[str] = ..., anonymous_id: _Optional[str] = ..., session_id: _Optional[str] = ..., occurred_at_us: _Optional[int] = ..., value: _Optional[float] = ..., properties: _Optional[bytes] = ..., learned: _Optional[bool] = ..., unlearned_reason: _Optional[int] = ..., dwell_ms: _Optional[int] = ...) -> None: ...

class Claims(_message.Message):
    __slots__ = ("request_id", "posting", "position", "feed", "feed_propensity", "scenario", "market", "policy_revision", "policy_epoch", "explore", "subject_hash", "session_hash", "key_id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POSTING_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    FEED_PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXPLORE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_HASH_FIELD_NUMBER: _ClassVar[int]
    SESSION_HASH_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: bytes
    posting: int
    position: int
    feed: int
    feed_propensity: float
    scenario: int
    market: int
    policy_revision: int
    policy_epoch: int
    explore: bool
    subject_hash: bytes
    session_hash: bytes
    key_id: int
    def __init__(self, request_id: _Optional[bytes] = ..., posting: _Optional[int] = ..., position: _Optional[int] = ..., feed: _Optional[int] = ..., feed_propensity: _Optional[float] = ..., scenario: _Optional[int] = ..., market: _Optional[int] = ..., policy_revision: _Optional[int] = ..., policy_epoch: _Optional[int] = ..., explore: _Optional[bool] = ..., subject_hash: _Optional[bytes] = ..., session_hash: _Optional[bytes] = ..., key_id: _Optional[int] = ...) -> None: ...
