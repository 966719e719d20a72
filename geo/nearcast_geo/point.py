"""A place on the earth in degrees, checked once where it enters."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

Field = Literal["latitude", "longitude"]


@dataclass(frozen=True, slots=True)
class Point:
    """Degrees north and east: lat in [-90, 90], lon in [-180, 180); `normalise` makes it so."""

    lat: float
    lon: float


class PointError(ValueError):
    """A coordinate is no place on the earth. Its message never repeats the value: it may be a home."""

    reason: ClassVar[str]

    def __init__(self, field: Field, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field: Field = field


class NotFiniteError(PointError):
    """A coordinate is NaN or infinite."""

    reason = "NOT_FINITE"

    def __init__(self, field: Field) -> None:
        super().__init__(field, "must be a finite number of degrees")


class LatitudeOutOfRangeError(PointError):
    """A latitude lies beyond a pole."""

    reason = "LATITUDE_OUT_OF_RANGE"

    def __init__(self, *, looks_swapped: bool) -> None:
        hint = "; latitude and longitude look swapped" if looks_swapped else ""
        super().__init__("latitude", f"must be from -90 to 90 degrees{hint}")
        self.looks_swapped = looks_swapped


class LongitudeOutOfRangeError(PointError):
    """A longitude lies beyond the antimeridian; it is refused, never wrapped."""

    reason = "LONGITUDE_OUT_OF_RANGE"

    def __init__(self) -> None:
        super().__init__("longitude", "must be from -180 to 180 degrees")


def normalise(lat: float, lon: float) -> Point:
    """Return the point in its one spelling: +180 as -180, no negative zero. Raises PointError."""
    if not math.isfinite(lat):
        raise NotFiniteError("latitude")
    if not math.isfinite(lon):
        raise NotFiniteError("longitude")
    if not -90.0 <= lat <= 90.0:
        raise LatitudeOutOfRangeError(looks_swapped=abs(lat) <= 180.0 and abs(lon) <= 90.0)
    if not -180.0 <= lon <= 180.0:
        raise LongitudeOutOfRangeError
    return Point(lat + 0.0, -180.0 if lon == 180.0 else lon + 0.0)
