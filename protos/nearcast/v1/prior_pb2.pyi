from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PriorLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIOR_LEVEL_UNSPECIFIED: _ClassVar[PriorLevel]
    PRIOR_LEVEL_CONFIGURED: _ClassVar[PriorLevel]
    PRIOR_LEVEL_ALL: _ClassVar[PriorLevel]
    PRIOR_LEVEL_MARKET: _ClassVar[PriorLevel]
    PRIOR_LEVEL_CATEGORY: _ClassVar[PriorLevel]
PRIOR_LEVEL_UNSPECIFIED: PriorLevel
PRIOR_LEVEL_CONFIGURED: PriorLevel
PRIOR_LEVEL_ALL: PriorLevel
PRIOR_LEVEL_MARKET: PriorLevel
PRIOR_LEVEL_CATEGORY: PriorLevel

class PriorOrigin(_message.Message):
    __slots__ = ("level", "fit", "items", "exposure", "success", "own_share")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    FIT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    OWN_SHARE_FIELD_NUMBER: _ClassVar[int]
    level: PriorLevel
    fit: int
    items: int
    exposure: float
    success: float
    own_share: float
    def __init__(self, level: _Optional[_Union[PriorLevel, str]] = ..., fit: _Optional[int] = ..., items: _Optional[int] = ..., exposure: _Optional[float] = ..., success: _Optional[float] = ..., own_share: _Optional[float] = ...) -> None: ...
