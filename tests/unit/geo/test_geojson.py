"""What becomes of GeoJSON: the area it says, or what is wrong with it."""

import json
import math
from time import process_time

import pytest

from nearcast_geo.area import Area
from nearcast_geo.geojson import MARKET_LIMITS, SMALL_LIMITS, AreaError, Limits, read_area, reason_of
from tests.geojsons import Position, box, multipolygon, polygon

SQUARE = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)]


def area(text: str) -> Area:
    return read_area(text, MARKET_LIMITS)


def inside(text: str, *positions: Position) -> list[bool]:
    read = area(text)
    return [read.covers(lat, lon) for lon, lat in positions]


def test_a_ring_across_the_antimeridian_holds_what_it_crosses() -> None:
    ring = [(-178.785, -80.929), (-177.567, -82.68), (169.654, -82.68), (170.873, -80.929)]
    assert inside(polygon(ring), (176.043772, -81.844418), (-176.043772, -81.844418)) == [True, False]


def test_a_box_from_170_to_minus_170_holds_175_and_not_160() -> None:
    assert inside(box(170.0, -10.0, -170.0, 10.0), (175.0, 0.0), (160.0, 0.0)) == [True, False]
    assert inside(box(170.0, -10.0, -170.0, 10.0), (-180.0, 0.0), (-175.0, 0.0)) == [True, True]


def test_a_part_given_behind_the_antimeridian_keeps_its_coordinates() -> None:
    west = -178.785000000000003
    across = area(polygon([(170.0, 0.0), (west, 0.0), (west, 10.0), (170.0, 10.0)]))
    beside = area(polygon([(west, 0.0), (-170.0, 0.0), (-170.0, 10.0), (west, 10.0)]))
    between = [west, math.nextafter(west, -180.0), math.nextafter(west, 0.0)]
    assert [across.covers(5.0, lon) for lon in between] == [True, True, False]
    assert [beside.covers(5.0, lon) for lon in between] == [True, False, True]


SICILY = [
    (13.268550, 38.354626),
    (15.379554, 37.143270),
    (14.7, 36.6),
    (14.193438, 37.334376),
    (12.972021, 38.138380),
    (13.3, 38.2),
]
PALERMO, CATANIA = (13.361389, 38.115556), (15.087269, 37.502669)
RAGUSA, SIRACUSA, AGRIGENTO = (14.733333, 36.933333), (15.287602, 37.070104), (13.588412, 37.311348)


def test_a_polygon_over_sicily_holds_three_of_its_towns() -> None:
    towns = inside(polygon(SICILY), PALERMO, RAGUSA, SIRACUSA, CATANIA, AGRIGENTO)
    assert towns == [True, True, True, False, False]


def test_a_polygon_over_the_north_of_sicily_holds_palermo_and_the_eastern_edge() -> None:
    ring = [
        (12.41098696654226, 38.05033923003755),
        (15.107936245794182, 38.00616649901906),
        (18.148439288534455, 38.63804787603499),
        (17.80831874257693, 39.50316813110968),
        (12.458468633214036, 38.57719533463012),
    ]
    edge1, edge2 = (12.758489, 38.788135), (17.241510, 38.788135)
    assert inside(polygon(ring), PALERMO, CATANIA, edge1, edge2) == [True, False, False, True]


ACROSS_CONTINENTS = [
    *[(-146.2, 51.1), (-103.3, 49.5), (-63.3, 50.9), (-95.4, 39.7), (-77.5, 26.7), (-51.9, 23.0)],
    *[(-8.4, 41.6), (-10.5, 61.5), (2.1, 60.8), (18.5, 53.1), (38.7, 45.7), (22.0, 34.2), (52.6, 23.0)],
    *[(75.7, 29.4), (90.7, 31.6), (107.3, 35.9), (115.4, 30.4), (120.0, 29.8), (120.5, 25.7)],
    *[(121.3, 11.6), (135.1, -16.6), (129.9, -27.2), (99.5, -26.5), (37.6, -27.8), (31.6, -13.6)],
    *[(20.6, 9.5), (11.2, 32.0), (5.4, 35.6), (-35.2, 17.0), (-75.4, 11.8), (-94.0, 28.7)],
    *[(-124.2, 36.6), (-143.4, 42.5)],
]
HELD = {
    "Oregon": (-118.62, 43.86),
    "London": (-0.13, 51.65),
    "Palermo": (13.33, 38.11),
    "Tanzania": (35.04, -6.30),
    "Karnataka": (74.57, 14.59),
    "Laos": (106.83, 15.12),
    "Fujian": (118.28, 26.58),
}
LEFT = {
    "Patagonia": (-68.88, -44.61),
    "Santiago del Estero": (-63.43, -28.27),
    "San Luis Potosi": (-100.69, 24.24),
    "British Columbia": (-121.43, 51.86),
    "Virginia": (-79.08, 37.97),
    "Greenland": (-44.97, 64.61),
    "Namibia": (17.25, -21.65),
    "Western Australia": (120.61, -27.71),
    "New South Wales": (145.05, -32.22),
    "Algeria": (3.54, 26.72),
    "Tel Aviv": (34.82, 32.06),
    "Gothenburg": (11.96, 57.71),
    "Xinjiang": (90.03, 39.61),
    "Shandong": (118.28, 36.02),
}


def test_a_polygon_across_continents_holds_seven_of_21_places() -> None:
    assert len(ACROSS_CONTINENTS) == 33
    places = HELD | LEFT
    inside_it = inside(polygon(ACROSS_CONTINENTS), *places.values())
    assert {name for name, held in zip(places, inside_it, strict=True) if held} == set(HELD)


def test_a_star_that_crosses_itself_is_refused() -> None:
    """An even-odd rule would leave out its middle, a winding rule would not: nobody is asked to guess."""
    star = [(151.2154, -33.8674), (151.2002, -33.8814), (151.2374, -33.8760), (151.1970, -33.8727)]
    with pytest.raises(AreaError, match=r"coordinates\[0\] crosses itself near longitude 151\.2"):
        area(polygon([*star, (151.2278, -33.8835)]))


JAGGED = [
    (-122.44, 37.735),
    (-122.43, 37.735),
    (-122.43, 37.731),
    (-122.435, 37.733),
    (-122.44, 37.73),
    (-122.438, 37.7325),
]


def test_a_jagged_polygon_leaves_out_what_only_its_bounds_hold() -> None:
    points = [(-122.4345, 37.7342), (-122.4425, 37.7342), (-122.4365, 37.7308), (-122.4375, 37.7345)]
    assert inside(polygon(JAGGED), *points) == [True, False, False, True]
    bounds = area(polygon(JAGGED))
    box_of_it = box(bounds.west, bounds.south, bounds.east, bounds.north)
    assert inside(box_of_it, *points) == [True, False, True, True]
    clip = box(-122.44, 37.73, -122.436, 37.735)
    both = [a and b for a, b in zip(inside(polygon(JAGGED), *points), inside(clip, *points), strict=True)]
    assert both == [False, False, False, True]


def test_small_squares_lie_where_a_sphere_has_them_too() -> None:
    def square(west: float, east: float) -> str:
        return box(west, west, east, east)

    def within(inner: str, outer: str) -> bool:
        return area(outer).shape.covers(area(inner).shape)

    small, large = square(34.9001, 34.9100), square(34.9001, 34.9200)
    frame, core = square(34.9000, 34.9150), square(34.9002, 34.9050)
    assert (within(small, frame), within(large, frame)) == (True, False)
    assert (within(core, small), within(core, large)) == (True, True)


@pytest.mark.parametrize("corner", [*SQUARE, (2.0, 0.0), (4.0, 1.0), (3.0, 4.0), (0.0, 0.1)])
def test_the_border_belongs_to_an_area(corner: Position) -> None:
    assert inside(polygon(SQUARE), corner) == [True]


def test_a_hole_is_left_out_and_its_border_is_not() -> None:
    hole = [(1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (1.0, 2.0)]
    text = polygon(SQUARE, hole)
    assert inside(text, (1.5, 1.5), (1.0, 1.5), (0.5, 1.5), (3.0, 3.0)) == [False, True, True, True]


def test_a_hole_across_the_antimeridian_is_left_out_on_both_sides() -> None:
    shell = [(170.0, -10.0), (-170.0, -10.0), (-170.0, 10.0), (170.0, 10.0)]
    hole = [(-175.0, -5.0), (-175.0, 5.0), (175.0, 5.0), (175.0, -5.0)]
    text = polygon(shell, hole)
    assert inside(text, (179.0, 0.0), (-180.0, 0.0), (-179.0, 0.0)) == [False, False, False]
    assert inside(text, (172.0, 0.0), (-172.0, 0.0), (-180.0, 7.0)) == [True, True, True]


@pytest.mark.parametrize("order", [1, -1])
def test_rings_may_run_in_either_direction(order: int) -> None:
    assert inside(polygon(SQUARE[::order]), (2.0, 2.0), (5.0, 5.0)) == [True, False]


def test_points_that_come_twice_in_a_row_are_one() -> None:
    assert area(polygon([point for point in SQUARE for _ in range(2)])).shape.equals(
        area(polygon(SQUARE)).shape
    )


def test_parts_that_share_an_edge_become_one() -> None:
    touching = multipolygon(SQUARE, [(4.0, 0.0), (6.0, 0.0), (6.0, 4.0), (4.0, 4.0)])
    assert area(touching).shape.geom_type == "Polygon"
    assert inside(touching, (4.0, 2.0), (5.0, 2.0)) == [True, True]


def test_parts_that_touch_in_a_point_stay_two() -> None:
    corner = multipolygon(SQUARE, [(4.0, 4.0), (6.0, 4.0), (6.0, 6.0)])
    assert inside(corner, (4.0, 4.0), (5.5, 4.5), (5.0, 3.0)) == [True, True, False]


def comb(teeth: int, *, upright: bool) -> list[Position]:
    ring = [(n / teeth / 2.0, float(n % 2)) for n in range(2 * teeth)] + [(1.0, -0.1), (0.0, -0.1)]
    return ring if upright else [(lat, lon) for lon, lat in ring]


def test_parts_that_cross_in_thousands_of_places_are_refused_at_once() -> None:
    text = multipolygon(comb(120, upright=True), comb(120, upright=False))
    started = process_time()
    with pytest.raises(AreaError, match="parts that overlap"):
        read_area(text, SMALL_LIMITS)
    assert process_time() - started < 1.0


def test_parts_apart_stay_apart() -> None:
    text = multipolygon(SQUARE, [(10.0, 10.0), (12.0, 10.0), (12.0, 12.0)])
    assert inside(text, (2.0, 2.0), (11.5, 10.5), (7.0, 7.0)) == [True, True, False]


def test_an_altitude_is_passed_over() -> None:
    text = json.dumps({"type": "Polygon", "coordinates": [[[*point, 8.0] for point in [*SQUARE, SQUARE[0]]]]})
    assert inside(text, (2.0, 2.0)) == [True]


def test_other_members_are_passed_over() -> None:
    text = json.dumps(json.loads(polygon(SQUARE)) | {"bbox": [0, 0, 4, 4], "crs": None, "x": {"y": 1}})
    assert inside(text, (2.0, 2.0)) == [True]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_ring_round_the_earth_holds_the_pole_of_its_hemisphere(sign: float) -> None:
    ring = [(lon, sign * lat) for lon, lat in [(0, 80), (90, 70), (180, 80), (-90, 75)]]
    for text in (polygon(ring), polygon(ring[::-1])):
        held = [(0.0, sign * 90.0), (-180.0, sign * 90.0), (-180.0, sign * 80.0), (50.0, sign * 85.0)]
        assert inside(text, *held) == [True] * 4
        assert inside(text, (90.0, sign * 69.0), (0.0, sign * 79.0), (0.0, -sign * 90.0)) == [False] * 3


def test_a_ring_that_winds_on_its_way_round_the_earth_holds_what_lies_beyond_it() -> None:
    ring = [
        (0.0, 60.0),
        (-30.0, 61.0),
        (-30.0, 65.0),
        (60.0, 70.0),
        (150.0, 62.0),
        (-120.0, 64.0),
        (-60.0, 58.0),
    ]
    beyond, before = [(0.0, 75.0), (179.0, 75.0), (-20.0, 60.0)], [(-20.0, 63.0), (-90.0, 40.0)]
    assert inside(polygon(ring), *beyond, *before) == [True, True, True, False, False]


def test_a_hole_round_the_pole_makes_a_ring_of_land() -> None:
    def circle(lat: float, first: float) -> list[Position]:
        lons = [first, first + 90.0, first + 180.0 - 360.0 * (first > 0), first - 90.0]
        return [(lon, lat) for lon in lons]

    text = polygon(circle(70.0, -10.0), circle(80.0, 20.0))
    assert inside(text, (33.0, 75.0), (-180.0, 75.0), (33.0, 85.0), (0.0, 90.0), (33.0, 65.0)) == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_box_from_minus_180_to_180_is_the_whole_belt() -> None:
    text = box(-180.0, -60.0, 180.0, 60.0)
    assert inside(text, (0.0, 0.0), (-180.0, 0.0), (179.9, 59.0), (0.0, 61.0)) == [True, True, True, False]


def test_the_meridian_of_180_degrees_is_one_line_from_both_sides() -> None:
    east, west = box(170.0, 0.0, 180.0, 10.0), box(-180.0, 0.0, -170.0, 10.0)
    assert inside(east, (-180.0, 5.0), (-179.9, 5.0)) == [True, False]
    assert inside(west, (-180.0, 5.0), (179.9, 5.0)) == [True, False]
    both = [(170.0, 0.0), (180.0, 0.0), (-180.0, 0.0), (-170.0, 0.0), (-170.0, 10.0), (170.0, 10.0)]
    assert inside(polygon(both), (175.0, 5.0), (-175.0, 5.0), (0.0, 5.0)) == [True, True, False]


def test_a_wedge_that_touches_the_pole_holds_it_from_any_longitude() -> None:
    assert inside(box(0.0, 80.0, 90.0, 90.0), (-120.0, 90.0), (-120.0, 89.9)) == [True, False]


RING = json.dumps([[0, 0], [4, 0], [4, 4], [0, 0]])


def raw(coordinates: str, kind: str = "Polygon") -> str:
    return f'{{"type": "{kind}", "coordinates": {coordinates}}}'


BAD = {
    "nothing": ("", "POLYGON_MALFORMED", "GeoJSON geometry"),
    "no JSON": ("POLYGON ((0 0, 1 1))", "POLYGON_MALFORMED", "GeoJSON geometry"),
    "a list": ("[]", "POLYGON_MALFORMED", "GeoJSON geometry"),
    "null": ("null", "POLYGON_MALFORMED", "GeoJSON geometry"),
    "no type": ('{"coordinates": []}', "POLYGON_MALFORMED", "`type`"),
    "a point": (raw("[1, 2]", "Point"), "POLYGON_MALFORMED", "Polygon or MultiPolygon"),
    "a feature": ('{"type": "Feature"}', "POLYGON_MALFORMED", "Polygon or MultiPolygon"),
    "no coordinates": ('{"type": "Polygon"}', "POLYGON_MALFORMED", "`coordinates`"),
    "a text for a number": (raw('[[[0, 0], [4, "x"], [4, 4], [0, 0]]]'), "POLYGON_MALFORMED", "[0][1][1]"),
    "NaN": (raw("[[[0, 0], [4, NaN], [4, 4], [0, 0]]]"), "POLYGON_MALFORMED", "GeoJSON geometry"),
    "infinity": (raw("[[[0, 0], [4, 1e400], [4, 4], [0, 0]]]"), "POLYGON_MALFORMED", "out of range"),
    "a position of one": (raw("[[[0, 0], [4], [4, 4], [0, 0]]]"), "POLYGON_MALFORMED", "coordinates[0][1]"),
    "a position of four": (raw("[[[0, 0], [4, 1, 2, 3], [4, 4], [0, 0]]]"), "POLYGON_MALFORMED", "got 4"),
    "half of a text": (raw(RING)[:-3], "POLYGON_MALFORMED", "GeoJSON geometry"),
    "deep": ("[" * 10_000, "POLYGON_MALFORMED", "GeoJSON geometry"),
    "no ring": (raw("[]"), "POLYGON_INVALID", "empty list"),
    "no polygon": (raw("[]", "MultiPolygon"), "POLYGON_INVALID", "empty list"),
    "an empty polygon": (raw(f"[[{RING}], []]", "MultiPolygon"), "POLYGON_INVALID", "empty list"),
    "an empty ring": (raw("[[]]"), "POLYGON_INVALID", "coordinates[0] must be closed"),
    "an open ring": (raw("[[[0, 0], [4, 0], [4, 4], [0, 4]]]"), "POLYGON_INVALID", "must be closed"),
    "two points": (polygon([(0, 0), (4, 4)]), "POLYGON_INVALID", "at least 4 positions"),
    "three equal points": (polygon([(4, 4)] * 3), "POLYGON_INVALID", "at least 3 different positions, got 1"),
    "there and back": (polygon([(0, 0), (4, 4), (0, 0), (4, 4)]), "POLYGON_INVALID", "got 2"),
    "a line": (polygon([(0, 0), (1, 1), (2, 2)]), "POLYGON_INVALID", "on one line"),
    "a bow-tie": (
        polygon([(0, 0), (4, 4), (4, 0), (0, 4)]),
        "POLYGON_INVALID",
        "longitude 2.000, latitude 2",
    ),
    "a spike": (polygon([*SQUARE[:2], (9, 0), SQUARE[1], *SQUARE[2:]]), "POLYGON_INVALID", "itself"),
    "a bow-tie behind the antimeridian": (
        polygon([(179, 0), (-177, 4), (-177, 0), (179, 4)]),
        "POLYGON_INVALID",
        "crosses itself near longitude -179.000, latitude 2",
    ),
    "a hole outside": (
        polygon(SQUARE, [(5, 5), (6, 5), (6, 6)]),
        "POLYGON_INVALID",
        "coordinates[1] is a hole",
    ),
    "all hole": (polygon(SQUARE, SQUARE), "POLYGON_INVALID", "holes leave nothing"),
    "holes that overlap": (
        polygon(SQUARE, [(1, 1), (3, 1), (3, 3), (1, 3)], [(2, 2), (3.5, 2), (3.5, 3.5), (2, 3.5)]),
        "POLYGON_INVALID",
        "holes that overlap",
    ),
    "parts that overlap": (
        multipolygon(SQUARE, [(3, 3), (6, 3), (6, 6), (3, 6)]),
        "POLYGON_INVALID",
        "parts that overlap",
    ),
    "the same part twice": (multipolygon(SQUARE, SQUARE), "POLYGON_INVALID", "parts that overlap"),
    "parts that share half an edge": (
        multipolygon(SQUARE, [(4, 1), (6, 1), (6, 3), (4, 3)]),
        "POLYGON_INVALID",
        "touch along a part of an edge",
    ),
    "a bad second part": (
        multipolygon(SQUARE, [(8, 8), (9, 9), (9, 8), (8, 9)]),
        "POLYGON_INVALID",
        "coordinates[1][0] crosses itself",
    ),
    "round the equator": (
        polygon([(0, 0), (90, 1), (180, 0), (-90, -1)]),
        "POLYGON_INVALID",
        "say which pole it holds",
    ),
    "twice round": (
        polygon([(lon, 60 + n) for n, lon in enumerate([0, 120, -120, 0, 120, -120])]),
        "POLYGON_INVALID",
        "more than once",
    ),
    "latitude 90.1": (
        polygon([(0, 0), (4, 0), (4, 90.1)]),
        "LATITUDE_OUT_OF_RANGE",
        "coordinates[0][2] latitude",
    ),
    "longitude 190": (
        polygon([(0, 0), (190, 0), (4, 4)]),
        "LONGITUDE_OUT_OF_RANGE",
        "coordinates[0][1] longitude",
    ),
}


@pytest.mark.parametrize(("text", "reason", "rule"), BAD.values(), ids=BAD.keys())
def test_what_is_no_area_is_refused_with_the_place_and_the_rule(text: str, reason: str, rule: str) -> None:
    with pytest.raises(AreaError) as refused:
        area(text)
    assert reason_of(refused.value) == reason
    assert rule in str(refused.value)
    assert len(str(refused.value)) < 250
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("limits", "rule"),
    [(Limits(4, 1000), "at most 4 positions, got 5"), (Limits(5, 50), "at most 50 bytes, got 98")],
)
def test_what_is_too_large_is_refused_before_it_is_looked_at(limits: Limits, rule: str) -> None:
    with pytest.raises(AreaError, match=rule) as refused:
        read_area(polygon(SQUARE), limits)
    assert reason_of(refused.value) == "POLYGON_TOO_LARGE"


def test_what_fits_within_the_limits_is_taken() -> None:
    circle = [(math.cos(n / 499 * math.tau), math.sin(n / 499 * math.tau)) for n in range(499)]
    assert read_area(polygon(circle), SMALL_LIMITS).covers(0.0, 0.0)


def test_an_area_comes_back_from_its_bytes_as_it_was() -> None:
    before = area(polygon(SICILY))
    after = Area.from_wkb(before.wkb)
    assert after.shape.equals_exact(before.shape, 0.0)
    assert (after.west, after.north) == (before.west, before.north)
