"""Whether an outline holds a point, as machine code; the rules are those of `outline`."""

from nearcast_compiling.memory import load_f8
from nearcast_compiling.native import compiled
from nearcast_geo.outline import EAST, NORTH, PER_DEGREE, SOUTH, STARTS, STRIPS, WEST
from nearcast_geo.sides import side_of


@compiled
def outline_holds(outline: int, lat: float, lon: float) -> bool:
    """Of the outline at this address and a normalised point; its border belongs to it."""
    south, north = load_f8(outline, SOUTH), load_f8(outline, NORTH)
    if abs(lat) == 90.0:
        return lat in (south, north)
    if lat < south or lat > north:
        return False
    east = load_f8(outline, EAST)
    if load_f8(outline, WEST) <= lon <= east and _meets(outline, lat, lon):
        return True
    return lon == -180.0 and east == 180.0 and _meets(outline, lat, 180.0)


@compiled
def _meets(outline: int, lat: float, lon: float) -> bool:
    strip = int(
        min((lat - load_f8(outline, SOUTH)) * load_f8(outline, PER_DEGREE), load_f8(outline, STRIPS) - 1.0)
    )
    begin, end = int(load_f8(outline, STARTS + strip)), int(load_f8(outline, STARTS + strip + 1))
    if begin == end:
        return False
    x1, y1, inside = load_f8(outline, begin), load_f8(outline, begin + 1), False
    for word in range(begin + 2, end, 2):
        x2, y2 = load_f8(outline, word), load_f8(outline, word + 1)
        if x1 >= lon or x2 >= lon:
            if (x2 == lon and y2 == lat) or (y1 == lat and y2 == lat and min(x1, x2) <= lon):
                return True
            if (y1 > lat and y2 <= lat) or (y2 > lat and y1 <= lat):
                side = side_of(x1, y1, x2, y2, lon, lat)
                if side == 0.0:
                    return True
                if (side > 0.0) == (y2 > y1):
                    inside = not inside
        x1, y1 = x2, y2
    return inside
