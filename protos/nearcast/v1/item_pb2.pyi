import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from nearcast.v1 import location_pb2 as _location_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DayOfWeek(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DAY_OF_WEEK_UNSPECIFIED: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_MONDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_TUESDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_WEDNESDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_THURSDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_FRIDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_SATURDAY: _ClassVar[DayOfWeek]
    DAY_OF_WEEK_SUNDAY: _ClassVar[DayOfWeek]
DAY_OF_WEEK_UNSPECIFIED: DayOfWeek
DAY_OF_WEEK_MONDAY: DayOfWeek
DAY_OF_WEEK_TUESDAY: DayOfWeek
DAY_OF_WEEK_WEDNESDAY: DayOfWeek
DAY_OF_WEEK_THURSDAY: DayOfWeek
DAY_OF_WEEK_FRIDAY: DayOfWeek
DAY_OF_WEEK_SATURDAY: DayOfWeek
DAY_OF_WEEK_SUNDAY: DayOfWeek

class Item(_message.Message):
    __slots__ = ("item_id", "locations", "reach_m", "tags", "category", "owner", "title", "url", "image_url", "attributes", "starts_at", "expires_at", "hours", "version", "etag", "created_at", "updated_at", "posting", "reach_area")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    REACH_M_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    STARTS_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    POSTING_FIELD_NUMBER: _ClassVar[int]
    REACH_AREA_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    locations: _containers.RepeatedCompositeFieldContainer[_location_pb2.LatLng]
    reach_m: float
    tags: _containers.RepeatedCompositeFieldContainer[Tag]
    category: str
    owner: str
    title: str
    url: str
    image_url: str
    attributes: _containers.ScalarMap[str, str]
    starts_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    hours: WeeklyHours
    version: int
    etag: str
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    posting: int
    reach_area: str
    def __init__(self, item_id: _Optional[str] = ..., locations: _Optional[_Iterable[_Union[_location_pb2.LatLng, _Mapping]]] = ..., reach_m: _Optional[float] = ..., tags: _Optional[_Iterable[_Union[Tag, _Mapping]]] = ..., category: _Optional[str] = ..., owner: _Optional[str] = ..., title: _Optional[str] = ..., url: _Optional[str] = ..., image_url: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., starts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hours: _Optional[_Union[WeeklyHours, _Mapping]] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., posting: _Optional[int] = ..., reach_area: _Optional[str] = ...) -> None: ...

class Tag(_message.Message):
    __slots__ = ("name", "relevance")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEVANCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    relevance: float
    def __init__(self, name: _Optional[str] = ..., relevance: _Optional[float] = ...) -> None: ...

class WeeklyHours(_message.Message):
    __slots__ = ("time_zone", "intervals")
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    time_zone: str
    intervals: _containers.RepeatedCompositeFieldContainer[OpeningInterval]
    def __init__(self, time_zone: _Optional[str] = ..., intervals: _Optional[_Iterable[_Union[OpeningInterval, _Mapping]]] = ...) -> None: ...

class OpeningInterval(_message.Message):
    __slots__ = ("day", "opens_minute", "closes_minute")
    DAY_FIELD_NUMBER: _ClassVar[int]
    OPENS_MINUTE_FIELD_NUMBER: _ClassVar[int]
    CLOSES_MINUTE_FIELD_NUMBER: _ClassVar[int]
    day: DayOfWeek
    opens_minute: int
    closes_minute: int
    def __init__(self, day: _Optional[_Union[DayOfWeek, str]] = ..., opens_minute: _Optional[int] = ..., closes_minute: _Optional[int] = ...) -> None: ...
