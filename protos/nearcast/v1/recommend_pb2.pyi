import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from nearcast.v1 import item_pb2 as _item_pb2
from nearcast.v1 import location_pb2 as _location_pb2
from nearcast.v1 import person_pb2 as _person_pb2
from nearcast.v1 import prior_pb2 as _prior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DegradedReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEGRADED_REASON_UNSPECIFIED: _ClassVar[DegradedReason]
    DEGRADED_REASON_STATS_STALE: _ClassVar[DegradedReason]
    DEGRADED_REASON_STORE_UNAVAILABLE: _ClassVar[DegradedReason]
    DEGRADED_REASON_EPOCH_STALE: _ClassVar[DegradedReason]
    DEGRADED_REASON_KEEPER_DOWN: _ClassVar[DegradedReason]
    DEGRADED_REASON_SEEN_UNAVAILABLE: _ClassVar[DegradedReason]
    DEGRADED_REASON_CANDIDATES_FROM_REDIS: _ClassVar[DegradedReason]
    DEGRADED_REASON_REPLICA_STALE: _ClassVar[DegradedReason]
DEGRADED_REASON_UNSPECIFIED: DegradedReason
DEGRADED_REASON_STATS_STALE: DegradedReason
DEGRADED_REASON_STORE_UNAVAILABLE: DegradedReason
DEGRADED_REASON_EPOCH_STALE: DegradedReason
DEGRADED_REASON_KEEPER_DOWN: DegradedReason
DEGRADED_REASON_SEEN_UNAVAILABLE: DegradedReason
DEGRADED_REASON_CANDIDATES_FROM_REDIS: DegradedReason
DEGRADED_REASON_REPLICA_STALE: DegradedReason

class Filter(_message.Message):
    __slots__ = ("tags_any", "tags_all", "tags_none", "categories", "exclude_item_ids", "market", "polygon")
    TAGS_ANY_FIELD_NUMBER: _ClassVar[int]
    TAGS_ALL_FIELD_NUMBER: _ClassVar[int]
    TAGS_NONE_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    POLYGON_FIELD_NUMBER: _ClassVar[int]
    tags_any: _containers.RepeatedScalarFieldContainer[str]
    tags_all: _containers.RepeatedScalarFieldContainer[str]
    tags_none: _containers.RepeatedScalarFieldContainer[str]
    categories: _containers.RepeatedScalarFieldContainer[str]
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    market: str
    polygon: str
    def __init__(self, tags_any: _Optional[_Iterable[str]] = ..., tags_all: _Optional[_Iterable[str]] = ..., tags_none: _Optional[_Iterable[str]] = ..., categories: _Optional[_Iterable[str]] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., market: _Optional[str] = ..., polygon: _Optional[str] = ...) -> None: ...

class NearbyRequest(_message.Message):
    __slots__ = ("location", "radius_m", "limit", "filter", "read_mask", "page_token")
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    RADIUS_M_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    location: _location_pb2.LatLng
    radius_m: float
    limit: int
    filter: Filter
    read_mask: _field_mask_pb2.FieldMask
    page_token: str
    def __init__(self, location: _Optional[_Union[_location_pb2.LatLng, _Mapping]] = ..., radius_m: _Optional[float] = ..., limit: _Optional[int] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., page_token: _Optional[str] = ...) -> None: ...

class NearbyResponse(_message.Message):
    __slots__ = ("items", "next_page_token", "limit_applied", "radius_used_m", "truncated", "market", "degraded_reasons", "candidates_age")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_APPLIED_FIELD_NUMBER: _ClassVar[int]
    RADIUS_USED_M_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_AGE_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[NearbyItem]
    next_page_token: str
    limit_applied: int
    radius_used_m: float
    truncated: bool
    market: str
    degraded_reasons: _containers.RepeatedScalarFieldContainer[DegradedReason]
    candidates_age: _duration_pb2.Duration
    def __init__(self, items: _Optional[_Iterable[_Union[NearbyItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., limit_applied: _Optional[int] = ..., radius_used_m: _Optional[float] = ..., truncated: _Optional[bool] = ..., market: _Optional[str] = ..., degraded_reasons: _Optional[_Iterable[_Union[DegradedReason, str]]] = ..., candidates_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class NearbyItem(_message.Message):
    __slots__ = ("item_id", "distance_m", "location_index", "item")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    LOCATION_INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    distance_m: float
    location_index: int
    item: _item_pb2.Item
    def __init__(self, item_id: _Optional[str] = ..., distance_m: _Optional[float] = ..., location_index: _Optional[int] = ..., item: _Optional[_Union[_item_pb2.Item, _Mapping]] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("location", "radius_m", "limit", "person", "session_id", "session_token", "scenario", "filter", "read_mask", "page_token", "explain", "exclude_seen", "segment", "explain_item_ids")
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    RADIUS_M_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    READ_MASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    location: _location_pb2.LatLng
    radius_m: float
    limit: int
    person: _person_pb2.Person
    session_id: str
    session_token: str
    scenario: str
    filter: Filter
    read_mask: _field_mask_pb2.FieldMask
    page_token: str
    explain: bool
    exclude_seen: bool
    segment: str
    explain_item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, location: _Optional[_Union[_location_pb2.LatLng, _Mapping]] = ..., radius_m: _Optional[float] = ..., limit: _Optional[int] = ..., person: _Optional[_Union[_person_pb2.Person, _Mapping]] = ..., session_id: _Optional[str] = ..., session_token: _Optional[str] = ..., scenario: _Optional[str] = ..., filter: _Optional[_Union[Filter, _Mapping]] = ..., read_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., page_token: _Optional[str] = ..., explain: _Optional[bool] = ..., exclude_seen: _Optional[bool] = ..., segment: _Optional[str] = ..., explain_item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("request_id", "feed", "feed_propensity", "items", "radius_used_m", "session_token", "next_page_token", "policy_revision", "policy_epoch", "stats_age", "degraded_reasons", "limit_applied", "truncated", "slate_token", "market", "candidates_age", "frozen", "segment", "explained_items", "capped_count")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    FEED_PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RADIUS_USED_M_FIELD_NUMBER: _ClassVar[int]
    SESSION_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATS_AGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_APPLIED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    SLATE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_AGE_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CAPPED_COUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    feed: str
    feed_propensity: float
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    radius_used_m: float
    session_token: str
    next_page_token: str
    policy_revision: int
    policy_epoch: int
    stats_age: _duration_pb2.Duration
    degraded_reasons: _containers.RepeatedScalarFieldContainer[DegradedReason]
    limit_applied: int
    truncated: bool
    slate_token: str
    market: str
    candidates_age: _duration_pb2.Duration
    frozen: bool
    segment: str
    explained_items: _containers.RepeatedCompositeFieldContainer[ExplainedItem]
    capped_count: int
    def __init__(self, request_id: _Optional[str] = ..., feed: _Optional[str] = ..., feed_propensity: _Optional[float] = ..., items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., radius_used_m: _Optional[float] = ..., session_token: _Optional[str] = ..., next_page_token: _Optional[str] = ..., policy_revision: _Optional[int] = ..., policy_epoch: _Optional[int] = ..., stats_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., degraded_reasons: _Optional[_Iterable[_Union[DegradedReason, str]]] = ..., limit_applied: _Optional[int] = ..., truncated: _Optional[bool] = ..., slate_token: _Optional[str] = ..., market: _Optional[str] = ..., candidates_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frozen: _Optional[bool] = ..., segment: _Optional[str] = ..., explained_items: _Optional[_Iterable[_Union[ExplainedItem, _Mapping]]] = ..., capped_count: _Optional[int] = ...) -> None: ...

class RecommendedItem(_message.Message):
    __slots__ = ("item_id", "rank", "distance_m", "location_index", "score", "reward_token", "item", "explanation", "pinned")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    LOCATION_INDEX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REWARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    rank: int
    distance_m: float
    location_index: int
    score: float
    reward_token: str
    item: _item_pb2.Item
    explanation: ItemExplanation
    pinned: bool
    def __init__(self, item_id: _Optional[str] = ..., rank: _Optional[int] = ..., distance_m: _Optional[float] = ..., location_index: _Optional[int] = ..., score: _Optional[float] = ..., reward_token: _Optional[str] = ..., item: _Optional[_Union[_item_pb2.Item, _Mapping]] = ..., explanation: _Optional[_Union[ItemExplanation, _Mapping]] = ..., pinned: _Optional[bool] = ...) -> None: ...

class ExplainedItem(_message.Message):
    __slots__ = ("item_id", "standing", "causes", "distance_m", "score", "rank", "explanation")
    class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STANDING_UNSPECIFIED: _ClassVar[ExplainedItem.Standing]
        STANDING_SHOWN: _ClassVar[ExplainedItem.Standing]
        STANDING_NOT_CHOSEN: _ClassVar[ExplainedItem.Standing]
        STANDING_LEFT_OUT: _ClassVar[ExplainedItem.Standing]
        STANDING_NOT_FOUND: _ClassVar[ExplainedItem.Standing]
    STANDING_UNSPECIFIED: ExplainedItem.Standing
    STANDING_SHOWN: ExplainedItem.Standing
    STANDING_NOT_CHOSEN: ExplainedItem.Standing
    STANDING_LEFT_OUT: ExplainedItem.Standing
    STANDING_NOT_FOUND: ExplainedItem.Standing
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CAUSE_UNSPECIFIED: _ClassVar[ExplainedItem.Cause]
        CAUSE_NOT_STARTED: _ClassVar[ExplainedItem.Cause]
        CAUSE_EXPIRED: _ClassVar[ExplainedItem.Cause]
        CAUSE_CLOSED: _ClassVar[ExplainedItem.Cause]
        CAUSE_TAG: _ClassVar[ExplainedItem.Cause]
        CAUSE_CATEGORY: _ClassVar[ExplainedItem.Cause]
        CAUSE_EXCLUDED: _ClassVar[ExplainedItem.Cause]
        CAUSE_MARKET: _ClassVar[ExplainedItem.Cause]
        CAUSE_POLYGON: _ClassVar[ExplainedItem.Cause]
        CAUSE_OUT_OF_REACH: _ClassVar[ExplainedItem.Cause]
        CAUSE_SEEN: _ClassVar[ExplainedItem.Cause]
        CAUSE_SHOWN_BEFORE: _ClassVar[ExplainedItem.Cause]
        CAUSE_LOWER_SCORE: _ClassVar[ExplainedItem.Cause]
        CAUSE_NOT_OF_THE_SHUFFLE: _ClassVar[ExplainedItem.Cause]
        CAUSE_NOT_AMONG_CANDIDATES: _ClassVar[ExplainedItem.Cause]
        CAUSE_CAPPED: _ClassVar[ExplainedItem.Cause]
        CAUSE_PLACES: _ClassVar[ExplainedItem.Cause]
        CAUSE_LATER: _ClassVar[ExplainedItem.Cause]
    CAUSE_UNSPECIFIED: ExplainedItem.Cause
    CAUSE_NOT_STARTED: ExplainedItem.Cause
    CAUSE_EXPIRED: ExplainedItem.Cause
    CAUSE_CLOSED: ExplainedItem.Cause
    CAUSE_TAG: ExplainedItem.Cause
    CAUSE_CATEGORY: ExplainedItem.Cause
    CAUSE_EXCLUDED: ExplainedItem.Cause
    CAUSE_MARKET: ExplainedItem.Cause
    CAUSE_POLYGON: ExplainedItem.Cause
    CAUSE_OUT_OF_REACH: ExplainedItem.Cause
    CAUSE_SEEN: ExplainedItem.Cause
    CAUSE_SHOWN_BEFORE: ExplainedItem.Cause
    CAUSE_LOWER_SCORE: ExplainedItem.Cause
    CAUSE_NOT_OF_THE_SHUFFLE: ExplainedItem.Cause
    CAUSE_NOT_AMONG_CANDIDATES: ExplainedItem.Cause
    CAUSE_CAPPED: ExplainedItem.Cause
    CAUSE_PLACES: ExplainedItem.Cause
    CAUSE_LATER: ExplainedItem.Cause
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    standing: ExplainedItem.Standing
    causes: _containers.RepeatedScalarFieldContainer[ExplainedItem.Cause]
    distance_m: float
    score: float
    rank: int
    explanation: ItemExplanation
    def __init__(self, item_id: _Optional[str] = ..., standing: _Optional[_Union[ExplainedItem.Standing, str]] = ..., causes: _Optional[_Iterable[_Union[ExplainedItem.Cause, str]]] = ..., distance_m: _Optional[float] = ..., score: _Optional[float] = ..., rank: _Optional[int] = ..., explanation: _Optional[_Union[ItemExplanation, _Mapping]] = ...) -> None: ...

class ItemExplanation(_message.Message):
    __slots__ = ("posting", "kinds", "market", "factor", "factors", "impressions", "is_new", "drawn_rank")
    POSTING_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MARKET_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    IMPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    DRAWN_RANK_FIELD_NUMBER: _ClassVar[int]
    posting: int
    kinds: _containers.RepeatedCompositeFieldContainer[KindExplanation]
    market: str
    factor: float
    factors: _containers.RepeatedCompositeFieldContainer[FactorExplanation]
    impressions: int
    is_new: bool
    drawn_rank: int
    def __init__(self, posting: _Optional[int] = ..., kinds: _Optional[_Iterable[_Union[KindExplanation, _Mapping]]] = ..., market: _Optional[str] = ..., factor: _Optional[float] = ..., factors: _Optional[_Iterable[_Union[FactorExplanation, _Mapping]]] = ..., impressions: _Optional[int] = ..., is_new: _Optional[bool] = ..., drawn_rank: _Optional[int] = ...) -> None: ...

class FactorExplanation(_message.Message):
    __slots__ = ("rule", "name", "factor")
    RULE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    rule: str
    name: str
    factor: float
    def __init__(self, rule: _Optional[str] = ..., name: _Optional[str] = ..., factor: _Optional[float] = ...) -> None: ...

class KindExplanation(_message.Message):
    __slots__ = ("kind", "weight", "exposure", "success", "prior_mean", "prior_strength", "posterior_a", "posterior_b", "draw", "prior_origin")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    PRIOR_MEAN_FIELD_NUMBER: _ClassVar[int]
    PRIOR_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_A_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_B_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    PRIOR_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    weight: float
    exposure: float
    success: float
    prior_mean: float
    prior_strength: float
    posterior_a: float
    posterior_b: float
    draw: float
    prior_origin: _prior_pb2.PriorOrigin
    def __init__(self, kind: _Optional[str] = ..., weight: _Optional[float] = ..., exposure: _Optional[float] = ..., success: _Optional[float] = ..., prior_mean: _Optional[float] = ..., prior_strength: _Optional[float] = ..., posterior_a: _Optional[float] = ..., posterior_b: _Optional[float] = ..., draw: _Optional[float] = ..., prior_origin: _Optional[_Union[_prior_pb2.PriorOrigin, _Mapping]] = ...) -> None: ...
