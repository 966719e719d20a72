"""The cell that Redis keeps as the score of a member: 26 bits of latitude woven into 26 of longitude."""

from nearcast_geo.point import Point

LATITUDE_LIMIT = 85.05112878
STEPS = 1 << 26

# At its own limits the encoder of Redis runs over the last cell, and the member is then found by no
# neighbour. A centimetre before them it does not.
CLAMPED_LATITUDE = 85.0511287
CLAMPED_LONGITUDE = 179.9999999

# A point is at most 0.33 m from the middle of its cell, and the clamp of the longitude adds a centimetre:
# a search that adds a metre misses nothing for rounding.
EDGE_MARGIN_M = 1.0

# Each pair spreads bits apart, or folds them back: shift by the first, keep the second.
_SPREAD = (
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)
_FOLD = (
    (1, 0x3333333333333333),
    (2, 0x0F0F0F0F0F0F0F0F),
    (4, 0x00FF00FF00FF00FF),
    (8, 0x0000FFFF0000FFFF),
    (16, 0x00000000FFFFFFFF),
)


def clamp_for_redis(point: Point) -> Point:
    """Return the point as Redis can hold and find it; beyond 85.05 degrees it is only a stand-in."""
    lat = min(max(point.lat, -CLAMPED_LATITUDE), CLAMPED_LATITUDE)
    return Point(lat, min(point.lon, CLAMPED_LONGITUDE))


def encode(lat: float, lon: float) -> int:
    """Return the score under which Redis holds the clamped point."""
    point = clamp_for_redis(Point(lat, lon))
    row = int((point.lat + LATITUDE_LIMIT) / (2.0 * LATITUDE_LIMIT) * STEPS)
    column = int((point.lon + 180.0) / 360.0 * STEPS)
    return _spread(row) | _spread(column) << 1


def decode(score: int) -> Point:
    """Return the middle of a cell: the position that Redis itself measures from."""
    row, column = _fold(score), _fold(score >> 1)
    return Point(_middle(row, LATITUDE_LIMIT), _middle(column, 180.0))


def _spread(bits: int) -> int:
    for shift, mask in _SPREAD:
        bits = (bits | bits << shift) & mask
    return bits


def _fold(bits: int) -> int:
    bits &= 0x5555555555555555
    for shift, mask in _FOLD:
        bits = (bits | bits >> shift) & mask
    return bits


def _middle(index: int, limit: float) -> float:
    low = -limit + index / STEPS * (2.0 * limit)
    high = -limit + (index + 1) / STEPS * (2.0 * limit)
    return (low + high) / 2.0
