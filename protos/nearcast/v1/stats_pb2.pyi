import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nearcast.v1 import event_pb2 as _event_pb2
from nearcast.v1 import prior_pb2 as _prior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StopAdvice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_ADVICE_UNSPECIFIED: _ClassVar[StopAdvice]
    STOP_ADVICE_TOO_EARLY: _ClassVar[StopAdvice]
    STOP_ADVICE_GO_ON: _ClassVar[StopAdvice]
    STOP_ADVICE_LEADER_IS_SURE: _ClassVar[StopAdvice]
    STOP_ADVICE_LITTLE_REMAINS: _ClassVar[StopAdvice]
STOP_ADVICE_UNSPECIFIED: StopAdvice
STOP_ADVICE_TOO_EARLY: StopAdvice
STOP_ADVICE_GO_ON: StopAdvice
STOP_ADVICE_LEADER_IS_SURE: StopAdvice
STOP_ADVICE_LITTLE_REMAINS: StopAdvice

class GetStatsRequest(_message.Message):
    __slots__ = ("item_ids", "page_size", "positions", "market", "segment")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    positions: bool
    market: str
    segment: str
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., positions: _Optional[bool] = ..., market: _Optional[str] = ..., segment: _Optional[str] = ...) -> None: ...

class GetStatsResponse(_message.Message):
    __slots__ = ("items", "feeds", "policy_revision", "policy_epoch", "read_at", "totals", "standing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    READ_AT_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ItemStats]
    feeds: _containers.RepeatedCompositeFieldContainer[FeedStats]
    policy_revision: int
    policy_epoch: int
    read_at: _timestamp_pb2.Timestamp
    totals: _containers.RepeatedCompositeFieldContainer[KindCount]
    standing: FeedStanding
    def __init__(self, items: _Optional[_Iterable[_Union[ItemStats, _Mapping]]] = ..., feeds: _Optional[_Iterable[_Union[FeedStats, _Mapping]]] = ..., policy_revision: _Optional[int] = ..., policy_epoch: _Optional[int] = ..., read_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., totals: _Optional[_Iterable[_Union[KindCount, _Mapping]]] = ..., standing: _Optional[_Union[FeedStanding, _Mapping]] = ...) -> None: ...

class WatchStatsRequest(_message.Message):
    __slots__ = ("item_ids", "snapshot", "resume_token")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    snapshot: bool
    resume_token: str
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., snapshot: _Optional[bool] = ..., resume_token: _Optional[str] = ...) -> None: ...

class WatchStatsResponse(_message.Message):
    __slots__ = ("items", "feeds", "policy_revision", "policy_epoch", "read_at", "resume_token", "settled", "ending", "standing")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    READ_AT_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ItemStats]
    feeds: _containers.RepeatedCompositeFieldContainer[FeedStats]
    policy_revision: int
    policy_epoch: int
    read_at: _timestamp_pb2.Timestamp
    resume_token: str
    settled: bool
    ending: _event_pb2.StreamEnd
    standing: FeedStanding
    def __init__(self, items: _Optional[_Iterable[_Union[ItemStats, _Mapping]]] = ..., feeds: _Optional[_Iterable[_Union[FeedStats, _Mapping]]] = ..., policy_revision: _Optional[int] = ..., policy_epoch: _Optional[int] = ..., read_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resume_token: _Optional[str] = ..., settled: _Optional[bool] = ..., ending: _Optional[_Union[_event_pb2.StreamEnd, str]] = ..., standing: _Optional[_Union[FeedStanding, _Mapping]] = ...) -> None: ...

class ItemStats(_message.Message):
    __slots__ = ("item_id", "posting", "title", "kinds", "served", "positions")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    POSTING_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    posting: int
    title: str
    kinds: _containers.RepeatedCompositeFieldContainer[KindStats]
    served: int
    positions: _containers.RepeatedCompositeFieldContainer[PositionStats]
    def __init__(self, item_id: _Optional[str] = ..., posting: _Optional[int] = ..., title: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[KindStats, _Mapping]]] = ..., served: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[PositionStats, _Mapping]]] = ...) -> None: ...

class PositionStats(_message.Message):
    __slots__ = ("first", "last", "served")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    served: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., served: _Optional[int] = ...) -> None: ...

class KindCount(_message.Message):
    __slots__ = ("kind", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class KindStats(_message.Message):
    __slots__ = ("kind", "count", "exposure", "success", "posterior_a", "posterior_b", "rate", "prior_mean", "prior_strength", "prior_origin")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_A_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_B_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_MEAN_FIELD_NUMBER: _ClassVar[int]
    PRIOR_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    PRIOR_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    exposure: float
    success: float
    posterior_a: float
    posterior_b: float
    rate: float
    prior_mean: float
    prior_strength: float
    prior_origin: _prior_pb2.PriorOrigin
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ..., exposure: _Optional[float] = ..., success: _Optional[float] = ..., posterior_a: _Optional[float] = ..., posterior_b: _Optional[float] = ..., rate: _Optional[float] = ..., prior_mean: _Optional[float] = ..., prior_strength: _Optional[float] = ..., prior_origin: _Optional[_Union[_prior_pb2.PriorOrigin, _Mapping]] = ...) -> None: ...

class FeedStats(_message.Message):
    __slots__ = ("feed", "trials", "rewards", "probability", "posterior_a", "posterior_b", "best_probability")
    FEED_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_A_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_B_FIELD_NUMBER: _ClassVar[int]
    BEST_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    feed: str
    trials: int
    rewards: int
    probability: float
    posterior_a: float
    posterior_b: float
    best_probability: float
    def __init__(self, feed: _Optional[str] = ..., trials: _Optional[int] = ..., rewards: _Optional[int] = ..., probability: _Optional[float] = ..., posterior_a: _Optional[float] = ..., posterior_b: _Optional[float] = ..., best_probability: _Optional[float] = ...) -> None: ...

class FeedStanding(_message.Message):
    __slots__ = ("leader", "value_remaining", "days", "advice")
    LEADER_FIELD_NUMBER: _ClassVar[int]
    VALUE_REMAINING_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    leader: str
    value_remaining: float
    days: float
    advice: StopAdvice
    def __init__(self, leader: _Optional[str] = ..., value_remaining: _Optional[float] = ..., days: _Optional[float] = ..., advice: _Optional[_Union[StopAdvice, str]] = ...) -> None: ...
