"""Areas out of GeoJSON text: what is wrong with it is said, what can be repaired without doubt is.

Repaired: the direction of rings, points that come twice in a row, parts that share edges (they become one),
edges across the antimeridian (cut there). Everything else that is no area is refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from nearcast_geo.antimeridian import Laid, RoundTheEarthError, cut, lay
from nearcast_geo.area import Area, Shape
from nearcast_geo.distance import Floats
from nearcast_geo.point import PointError, normalise

_Ring = list[list[float]]


class _Polygon(msgspec.Struct, tag_field="type", tag="Polygon"):
    coordinates: list[_Ring]


class _MultiPolygon(msgspec.Struct, tag_field="type", tag="MultiPolygon"):
    coordinates: list[list[_Ring]]


_decode = msgspec.json.Decoder(_Polygon | _MultiPolygon).decode


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one area may have."""

    vertices: int
    size_bytes: int


MARKET_LIMITS = Limits(20_000, 800_000)
SMALL_LIMITS = Limits(500, 32_768)


class AreaError(ValueError):
    """A text is no area; the reason is for machines, the message says which ring and what must hold."""

    reason: ClassVar[str] = "POLYGON_INVALID"


class AreaMalformedError(AreaError):
    """It is no GeoJSON geometry with polygons."""

    reason = "POLYGON_MALFORMED"


class AreaTooLargeError(AreaError):
    """It has too many points or bytes."""

    reason = "POLYGON_TOO_LARGE"


class PositionError(AreaError):
    """A position is no place on the earth."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.position_reason = reason


def reason_of(error: AreaError) -> str:
    """The reason for machines."""
    return error.position_reason if isinstance(error, PositionError) else error.reason


def read_area(text: str, limits: Limits) -> Area:
    """The area of a GeoJSON Polygon or MultiPolygon. Raises AreaError."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.size_bytes:
        raise AreaTooLargeError(f"must have at most {limits.size_bytes} bytes, got {size}")
    polygons = _polygons(text)
    count = sum(len(ring) for polygon in polygons for ring in polygon)
    if count > limits.vertices:
        raise AreaTooLargeError(f"must have at most {limits.vertices} positions, got {count}; simplify it")
    several = len(polygons) > 1
    parts: list[Polygon] = []
    for place, rings in enumerate(polygons):
        path = f"coordinates[{place}]" if several else "coordinates"
        parts += _parts(path, rings)
    fault = "coordinates has parts that overlap, or touch along a part of an edge; draw them as one polygon"
    return Area.of(shapely.normalize(_joined(fault, parts)))


def _polygons(text: str) -> Sequence[Sequence[_Ring]]:
    try:
        decoded = _decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        # What was sent is not repeated: it may hold what no terminal should see.
        said = "`type` is another" if str(error).startswith("Invalid value") else str(error)
        rule = "must be a GeoJSON geometry, Polygon or MultiPolygon, of [longitude, latitude] positions"
        raise AreaMalformedError(f"{rule}: {said}") from error
    polygons = [decoded.coordinates] if isinstance(decoded, _Polygon) else decoded.coordinates
    if not polygons or not all(polygons):
        raise AreaError("must hold a ring in each polygon, got an empty list")
    return polygons


def _parts(path: str, rings: Sequence[_Ring]) -> list[Polygon]:
    """One polygon with its holes, on the map."""
    laid = [_laid(f"{path}[{place}]", ring) for place, ring in enumerate(rings)]
    for place, ring in enumerate(laid):
        _check(f"{path}[{place}]", ring)
    whole, *holes = [
        _joined(f"{path}[{place}] crosses itself behind the antimeridian", list(cut(ring)))
        for place, ring in enumerate(laid)
    ]
    for place, hole in enumerate(holes, start=1):
        if not whole.covers(hole):
            raise AreaError(f"{path}[{place}] is a hole and must lie within the first ring")
    if holes:
        # Nothing crosses anything any more, so this takes no longer than looking at each edge.
        taken_out = _joined(f"{path} has holes that overlap; draw them as one", _polygonal(holes))
        left = _polygonal([whole.difference(taken_out)])
    else:
        left = _polygonal([whole])
    if not left:
        raise AreaError(f"{path} is empty: its holes leave nothing of it")
    return left


def _laid(path: str, ring: _Ring) -> Laid:
    lons, lats = _positions(path, ring)
    if len(ring) < 4 or (lons[0], lats[0]) != (lons[-1], lats[-1]):
        raise AreaError(
            f"{path} must be closed: at least 4 positions, the last the same as the first, got {len(ring)}"
        )
    new = np.concatenate([[True], (np.diff(lons) != 0.0) | (np.diff(lats) != 0.0)])
    lons, lats = lons[new], lats[new]
    distinct = len(set(zip(lons.tolist(), lats.tolist(), strict=True)))
    if distinct < 3:
        raise AreaError(f"{path} must have at least 3 different positions, got {distinct}")
    try:
        return lay(lons, lats)
    except RoundTheEarthError as error:
        raise AreaError(f"{path} {error}") from error


def _positions(path: str, ring: _Ring) -> tuple[Floats, Floats]:
    for place, position in enumerate(ring):
        if not 2 <= len(position) <= 3:
            rule = "must be [longitude, latitude], at most with an altitude"
            raise AreaMalformedError(f"{path}[{place}] {rule}, got {len(position)} numbers")
        try:
            normalise(position[1], position[0])
        except PointError as error:
            raise PositionError(f"{path}[{place}] {error}", error.reason) from error
    lons, lats = (np.array([position[axis] + 0.0 for position in ring]) for axis in (0, 1))
    return lons, lats


def _check(path: str, laid: Laid) -> None:
    flat = laid.polygon
    if not shapely.convex_hull(flat).area > 0.0:
        raise AreaError(f"{path} must enclose an area; all of its positions lie on one line")
    if not flat.is_valid:
        raise AreaError(f"{path} {_fault(shapely.is_valid_reason(flat))}; draw it as separate polygons")


def _fault(said: str) -> str:
    """What GEOS said of a ring, in our words: only ever that it meets itself, and where."""
    does = "touches itself" if said.startswith("Ring Self") else "crosses itself"
    place = said.partition("[")[2].rstrip("]").split()
    if len(place) != 2:
        return does
    lon, lat = float(place[0]), float(place[1])
    return f"{does} near longitude {math.remainder(lon, 360.0):.3f}, latitude {lat:.3f}"


def _joined(fault: str, parts: Sequence[Polygon]) -> Shape:
    """One shape of parts that lie apart or share whole edges.

    Parts that overlap are refused and not united: a few hundred positions can cross in as many thousand
    places, and whoever may ask a question could keep the server busy for seconds.
    """
    if len(parts) == 1:
        return parts[0]
    apart = MultiPolygon(parts)
    if apart.is_valid:
        return apart
    try:
        joined = shapely.coverage_union_all(list(parts))
    except shapely.errors.GEOSException as error:
        raise AreaError(fault) from error
    if not isinstance(joined, Polygon | MultiPolygon) or not joined.is_valid:
        raise AreaError(fault)
    return joined


def _polygonal(shapes: Sequence[shapely.Geometry]) -> list[Polygon]:
    """Their polygons; lines and points enclose nothing."""
    parts = [part for shape in shapes for part in shapely.get_parts(shape)]
    return [part for part in parts if isinstance(part, Polygon) and part.area > 0.0]
