import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nearcast.v1 import prior_pb2 as _prior_pb2
from nearcast.v1 import recommend_pb2 as _recommend_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExperimentMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPERIMENT_MODE_UNSPECIFIED: _ClassVar[ExperimentMode]
    EXPERIMENT_MODE_SPLIT: _ClassVar[ExperimentMode]
    EXPERIMENT_MODE_SHADOW: _ClassVar[ExperimentMode]
EXPERIMENT_MODE_UNSPECIFIED: ExperimentMode
EXPERIMENT_MODE_SPLIT: ExperimentMode
EXPERIMENT_MODE_SHADOW: ExperimentMode

class PolicyNote(_message.Message):
    __slots__ = ("key", "message", "allowed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    key: str
    message: str
    allowed: str
    def __init__(self, key: _Optional[str] = ..., message: _Optional[str] = ..., allowed: _Optional[str] = ...) -> None: ...

class PolicyChange(_message.Message):
    __slots__ = ("key", "before", "after")
    KEY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    key: str
    before: str
    after: str
    def __init__(self, key: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class PolicyRevision(_message.Message):
    __slots__ = ("revision", "author", "note", "created_at", "etag", "contender")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CONTENDER_FIELD_NUMBER: _ClassVar[int]
    revision: int
    author: str
    note: str
    created_at: _timestamp_pb2.Timestamp
    etag: str
    contender: bool
    def __init__(self, revision: _Optional[int] = ..., author: _Optional[str] = ..., note: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., contender: _Optional[bool] = ...) -> None: ...

class ValidatePolicyRequest(_message.Message):
    __slots__ = ("policy_toml",)
    POLICY_TOML_FIELD_NUMBER: _ClassVar[int]
    policy_toml: str
    def __init__(self, policy_toml: _Optional[str] = ...) -> None: ...

class ValidatePolicyResponse(_message.Message):
    __slots__ = ("problems", "warnings", "changes", "revision_in_force")
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REVISION_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    problems: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    changes: _containers.RepeatedCompositeFieldContainer[PolicyChange]
    revision_in_force: int
    def __init__(self, problems: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ..., changes: _Optional[_Iterable[_Union[PolicyChange, _Mapping]]] = ..., revision_in_force: _Optional[int] = ...) -> None: ...

class ApplyPolicyRequest(_message.Message):
    __slots__ = ("policy_toml", "note", "expected_revision", "request_id")
    POLICY_TOML_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy_toml: str
    note: str
    expected_revision: int
    request_id: str
    def __init__(self, policy_toml: _Optional[str] = ..., note: _Optional[str] = ..., expected_revision: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApplyPolicyResponse(_message.Message):
    __slots__ = ("revision", "warnings", "unchanged")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    unchanged: bool
    def __init__(self, revision: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class RollbackPolicyRequest(_message.Message):
    __slots__ = ("revision", "note", "expected_revision", "request_id")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    revision: int
    note: str
    expected_revision: int
    request_id: str
    def __init__(self, revision: _Optional[int] = ..., note: _Optional[str] = ..., expected_revision: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class RollbackPolicyResponse(_message.Message):
    __slots__ = ("revision", "warnings", "unchanged")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    unchanged: bool
    def __init__(self, revision: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("revision", "policy_toml")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_TOML_FIELD_NUMBER: _ClassVar[int]
    revision: int
    policy_toml: str
    def __init__(self, revision: _Optional[int] = ..., policy_toml: _Optional[str] = ...) -> None: ...

class ListPolicyRevisionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPolicyRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "next_page_token")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[PolicyRevision]
    next_page_token: str
    def __init__(self, revisions: _Optional[_Iterable[_Union[PolicyRevision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class FreezeRequest(_message.Message):
    __slots__ = ("market", "note", "expected_revision", "request_id")
    MARKET_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    market: str
    note: str
    expected_revision: int
    request_id: str
    def __init__(self, market: _Optional[str] = ..., note: _Optional[str] = ..., expected_revision: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class FreezeResponse(_message.Message):
    __slots__ = ("revision", "unchanged")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    unchanged: bool
    def __init__(self, revision: _Optional[int] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class UnfreezeRequest(_message.Message):
    __slots__ = ("market", "note", "expected_revision", "request_id")
    MARKET_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    market: str
    note: str
    expected_revision: int
    request_id: str
    def __init__(self, market: _Optional[str] = ..., note: _Optional[str] = ..., expected_revision: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class UnfreezeResponse(_message.Message):
    __slots__ = ("revision", "unchanged")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    unchanged: bool
    def __init__(self, revision: _Optional[int] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class StartExperimentRequest(_message.Message):
    __slots__ = ("name", "mode", "policy_toml", "revision", "share", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    POLICY_TOML_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: ExperimentMode
    policy_toml: str
    revision: int
    share: float
    note: str
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[ExperimentMode, str]] = ..., policy_toml: _Optional[str] = ..., revision: _Optional[int] = ..., share: _Optional[float] = ..., note: _Optional[str] = ...) -> None: ...

class StartExperimentResponse(_message.Message):
    __slots__ = ("experiment", "warnings")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ...) -> None: ...

class Experiment(_message.Message):
    __slots__ = ("name", "mode", "revision", "against", "share", "author", "note", "started_at", "stopped_at")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    AGAINST_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STOPPED_AT_FIELD_NUMBER: _ClassVar[int]
    name: str
    mode: ExperimentMode
    revision: int
    against: int
    share: float
    author: str
    note: str
    started_at: _timestamp_pb2.Timestamp
    stopped_at: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., mode: _Optional[_Union[ExperimentMode, str]] = ..., revision: _Optional[int] = ..., against: _Optional[int] = ..., share: _Optional[float] = ..., author: _Optional[str] = ..., note: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stopped_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StopExperimentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class StopExperimentResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class GetExperimentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetExperimentResponse(_message.Message):
    __slots__ = ("experiment", "paused_by", "split", "shadow")
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    paused_by: _containers.RepeatedCompositeFieldContainer[PolicyNote]
    split: SplitReport
    shadow: ShadowReport
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ..., paused_by: _Optional[_Iterable[_Union[PolicyNote, _Mapping]]] = ..., split: _Optional[_Union[SplitReport, _Mapping]] = ..., shadow: _Optional[_Union[ShadowReport, _Mapping]] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("value", "low", "high")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    value: float
    low: float
    high: float
    def __init__(self, value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class KindTotal(_message.Message):
    __slots__ = ("kind", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    count: int
    def __init__(self, kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ExperimentArm(_message.Message):
    __slots__ = ("sessions", "rewarded_sessions", "impressions", "successes", "reward_per_session")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    REWARDED_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    IMPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    REWARD_PER_SESSION_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    rewarded_sessions: int
    impressions: int
    successes: _containers.RepeatedCompositeFieldContainer[KindTotal]
    reward_per_session: Measured
    def __init__(self, sessions: _Optional[int] = ..., rewarded_sessions: _Optional[int] = ..., impressions: _Optional[int] = ..., successes: _Optional[_Iterable[_Union[KindTotal, _Mapping]]] = ..., reward_per_session: _Optional[_Union[Measured, _Mapping]] = ...) -> None: ...

class ServedRevision(_message.Message):
    __slots__ = ("revision", "sessions", "counted")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    revision: int
    sessions: int
    counted: bool
    def __init__(self, revision: _Optional[int] = ..., sessions: _Optional[int] = ..., counted: _Optional[bool] = ...) -> None: ...

class SplitReport(_message.Message):
    __slots__ = ("in_force", "contender", "difference", "gain", "mixed_sessions", "served", "missing")
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    CONTENDER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    MIXED_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    in_force: ExperimentArm
    contender: ExperimentArm
    difference: Measured
    gain: Measured
    mixed_sessions: int
    served: _containers.RepeatedCompositeFieldContainer[ServedRevision]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, in_force: _Optional[_Union[ExperimentArm, _Mapping]] = ..., contender: _Optional[_Union[ExperimentArm, _Mapping]] = ..., difference: _Optional[_Union[Measured, _Mapping]] = ..., gain: _Optional[_Union[Measured, _Mapping]] = ..., mixed_sessions: _Optional[int] = ..., served: _Optional[_Iterable[_Union[ServedRevision, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class ShadowFeeds(_message.Message):
    __slots__ = ("feed", "shadow_feed", "compared")
    FEED_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FEED_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    feed: str
    shadow_feed: str
    compared: int
    def __init__(self, feed: _Optional[str] = ..., shadow_feed: _Optional[str] = ..., compared: _Optional[int] = ...) -> None: ...

class ShadowReport(_message.Message):
    __slots__ = ("compared", "overlap", "same_first", "equal", "new_share", "shadow_new_share", "feeds")
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SAME_FIRST_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    NEW_SHARE_FIELD_NUMBER: _ClassVar[int]
    SHADOW_NEW_SHARE_FIELD_NUMBER: _ClassVar[int]
    FEEDS_FIELD_NUMBER: _ClassVar[int]
    compared: int
    overlap: float
    same_first: float
    equal: float
    new_share: float
    shadow_new_share: float
    feeds: _containers.RepeatedCompositeFieldContainer[ShadowFeeds]
    def __init__(self, compared: _Optional[int] = ..., overlap: _Optional[float] = ..., same_first: _Optional[float] = ..., equal: _Optional[float] = ..., new_share: _Optional[float] = ..., shadow_new_share: _Optional[float] = ..., feeds: _Optional[_Iterable[_Union[ShadowFeeds, _Mapping]]] = ...) -> None: ...

class ListExperimentsRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListExperimentsResponse(_message.Message):
    __slots__ = ("experiments",)
    EXPERIMENTS_FIELD_NUMBER: _ClassVar[int]
    experiments: _containers.RepeatedCompositeFieldContainer[Experiment]
    def __init__(self, experiments: _Optional[_Iterable[_Union[Experiment, _Mapping]]] = ...) -> None: ...

class ExplainDecisionRequest(_message.Message):
    __slots__ = ("request_id", "item_ids")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainDecisionResponse(_message.Message):
    __slots__ = ("request_id", "decided_at", "build", "policy_revision", "policy_epoch", "feed", "feed_propensity", "scenario", "candidates", "logged_because_of", "replay", "differences", "items", "radius_used_m", "capped", "segment")
    class Replay(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REPLAY_UNSPECIFIED: _ClassVar[ExplainDecisionResponse.Replay]
        REPLAY_EQUAL: _ClassVar[ExplainDecisionResponse.Replay]
        REPLAY_DIFFERENT: _ClassVar[ExplainDecisionResponse.Replay]
        REPLAY_NOT_POSSIBLE: _ClassVar[ExplainDecisionResponse.Replay]
    REPLAY_UNSPECIFIED: ExplainDecisionResponse.Replay
    REPLAY_EQUAL: ExplainDecisionResponse.Replay
    REPLAY_DIFFERENT: ExplainDecisionResponse.Replay
    REPLAY_NOT_POSSIBLE: ExplainDecisionResponse.Replay
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FEED_FIELD_NUMBER: _ClassVar[int]
    FEED_PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    LOGGED_BECAUSE_OF_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    RADIUS_USED_M_FIELD_NUMBER: _ClassVar[int]
    CAPPED_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    decided_at: _timestamp_pb2.Timestamp
    build: str
    policy_revision: int
    policy_epoch: int
    feed: str
    feed_propensity: float
    scenario: str
    candidates: int
    logged_because_of: str
    replay: ExplainDecisionResponse.Replay
    differences: _containers.RepeatedScalarFieldContainer[str]
    items: _containers.RepeatedCompositeFieldContainer[DecidedItem]
    radius_used_m: float
    capped: int
    segment: str
    def __init__(self, request_id: _Optional[str] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., build: _Optional[str] = ..., policy_revision: _Optional[int] = ..., policy_epoch: _Optional[int] = ..., feed: _Optional[str] = ..., feed_propensity: _Optional[float] = ..., scenario: _Optional[str] = ..., candidates: _Optional[int] = ..., logged_because_of: _Optional[str] = ..., replay: _Optional[_Union[ExplainDecisionResponse.Replay, str]] = ..., differences: _Optional[_Iterable[str]] = ..., items: _Optional[_Iterable[_Union[DecidedItem, _Mapping]]] = ..., radius_used_m: _Optional[float] = ..., capped: _Optional[int] = ..., segment: _Optional[str] = ...) -> None: ...

class DecidedItem(_message.Message):
    __slots__ = ("item_id", "posting", "standing", "rank", "score", "kinds", "propensities", "causes", "drawn_rank", "moves", "factor", "factors", "distance_m", "is_new", "changed_since")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    POSTING_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    PROPENSITIES_FIELD_NUMBER: _ClassVar[int]
    CAUSES_FIELD_NUMBER: _ClassVar[int]
    DRAWN_RANK_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    FACTOR_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    IS_NEW_FIELD_NUMBER: _ClassVar[int]
    CHANGED_SINCE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    posting: int
    standing: _recommend_pb2.ExplainedItem.Standing
    rank: int
    score: float
    kinds: _containers.RepeatedCompositeFieldContainer[DecidedKind]
    propensities: _containers.RepeatedScalarFieldContainer[float]
    causes: _containers.RepeatedScalarFieldContainer[_recommend_pb2.ExplainedItem.Cause]
    drawn_rank: int
    moves: _containers.RepeatedCompositeFieldContainer[DecidedMove]
    factor: float
    factors: _containers.RepeatedCompositeFieldContainer[_recommend_pb2.FactorExplanation]
    distance_m: float
    is_new: bool
    changed_since: bool
    def __init__(self, item_id: _Optional[str] = ..., posting: _Optional[int] = ..., standing: _Optional[_Union[_recommend_pb2.ExplainedItem.Standing, str]] = ..., rank: _Optional[int] = ..., score: _Optional[float] = ..., kinds: _Optional[_Iterable[_Union[DecidedKind, _Mapping]]] = ..., propensities: _Optional[_Iterable[float]] = ..., causes: _Optional[_Iterable[_Union[_recommend_pb2.ExplainedItem.Cause, str]]] = ..., drawn_rank: _Optional[int] = ..., moves: _Optional[_Iterable[_Union[DecidedMove, _Mapping]]] = ..., factor: _Optional[float] = ..., factors: _Optional[_Iterable[_Union[_recommend_pb2.FactorExplanation, _Mapping]]] = ..., distance_m: _Optional[float] = ..., is_new: _Optional[bool] = ..., changed_since: _Optional[bool] = ...) -> None: ...

class DecidedMove(_message.Message):
    __slots__ = ("rule", "rank_without")
    RULE_FIELD_NUMBER: _ClassVar[int]
    RANK_WITHOUT_FIELD_NUMBER: _ClassVar[int]
    rule: str
    rank_without: int
    def __init__(self, rule: _Optional[str] = ..., rank_without: _Optional[int] = ...) -> None: ...

class DecidedKind(_message.Message):
    __slots__ = ("kind", "weight", "posterior_a", "posterior_b", "draw", "exposure", "success", "prior_mean", "prior_strength", "prior_origin")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_A_FIELD_NUMBER: _ClassVar[int]
    POSTERIOR_B_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    PRIOR_MEAN_FIELD_NUMBER: _ClassVar[int]
    PRIOR_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    PRIOR_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    weight: float
    posterior_a: float
    posterior_b: float
    draw: float
    exposure: float
    success: float
    prior_mean: float
    prior_strength: float
    prior_origin: _prior_pb2.PriorOrigin
    def __init__(self, kind: _Optional[str] = ..., weight: _Optional[float] = ..., posterior_a: _Optional[float] = ..., posterior_b: _Optional[float] = ..., draw: _Optional[float] = ..., exposure: _Optional[float] = ..., success: _Optional[float] = ..., prior_mean: _Optional[float] = ..., prior_strength: _Optional[float] = ..., prior_origin: _Optional[_Union[_prior_pb2.PriorOrigin, _Mapping]] = ...) -> None: ...
