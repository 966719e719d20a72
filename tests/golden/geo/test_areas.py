"""Polygons that others have published with their answers, and boxes whose corners are hard to tell apart."""

import math
from random import Random

import pytest

from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_geo.point import Point
from tests.geojsons import box, polygon
from tests.golden.geo.indexes import Index
from tests.golden.geo.worlds import Members, Position, items_of

JAGGED = [
    (-122.47781753540039, 37.74655746554895),
    (-122.48777389526366, 37.7355619376922),
    (-122.4707794189453, 37.73271097867418),
    (-122.46528625488281, 37.735969208590504),
    (-122.45189666748047, 37.73922729512254),
    (-122.4565315246582, 37.75008654795525),
    (-122.46683120727538, 37.75307256315459),
]
POINTS: Members = {
    "point1": (-122.4810791015625, 37.73963454585715),
    "point2": (-122.47438430786133, 37.75130811419222),
    "point3": (-122.47713088989258, 37.74816932695052),
    "point4": (-122.47571468353271, 37.74503040657439),
}
LOWER = box(-122.47816085815431, 37.737734023260884, -122.45464324951172, 37.74886496155229)
UPPER = box(-122.48034954071045, 37.74411415606583, -122.47163772583008, 37.7536833241461)


def held(text: str, members: Members = POINTS) -> list[str]:
    area = read_area(text, MARKET_LIMITS)
    return [name for name, (lon, lat) in members.items() if area.covers(lat, lon)]


@pytest.mark.parametrize(
    ("areas", "inside"),
    [
        ([polygon(JAGGED)], ["point1", "point4"]),
        ([LOWER], ["point3", "point4"]),
        ([UPPER], ["point2", "point3", "point4"]),
        ([polygon(JAGGED), LOWER], ["point4"]),
        ([polygon(JAGGED), UPPER], ["point4"]),
        ([polygon(JAGGED), UPPER, LOWER], ["point4"]),
    ],
)
def test_four_points_are_told_apart_by_a_jagged_polygon_and_two_boxes(
    areas: list[str], inside: list[str]
) -> None:
    assert [name for name in POINTS if all(name in held(text) for text in areas)] == inside


async def test_circles_of_ten_metres_and_more_around_two_points_that_are_near(index: Index) -> None:
    await index.fill(
        items_of(
            {
                "1": (-122.4412, 37.7335),
                "2": (-122.44121, 37.7335),
                "3": (-122.4408378, 37.7341129),
                "6": (5, -5),
            }
        )
    )
    for radius_m, found in ((0.5, ["1"]), (10.0, ["1", "2"]), (70.0, ["1", "2"]), (1000.0, ["1", "2", "3"])):
        assert [each.name for each in await index.near(Point(37.7335, -122.4412), radius_m)] == found


def around(center: Position, width_m: float, height_m: float) -> tuple[str, Members]:
    """A box of degrees around a point, and what lies on its corners and the middles of its sides."""
    lon, lat = center
    north = math.degrees(height_m / 2.0 / EARTH_RADIUS_M)
    east = math.degrees(width_m / 2.0 / EARTH_RADIUS_M) / math.cos(math.radians(lat))
    members = {
        f"{row}{column}": ((lon + column * east + 180.0) % 360.0 - 180.0, lat + row * north)
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
        if row or column
    }
    west, east_end = members["0-1"][0], members["01"][0]
    return box(west, lat - north, east_end, lat + north), members


@pytest.mark.parametrize("seed", range(30))
def test_two_metres_decide_who_is_in_a_box(seed: int) -> None:
    rng = Random(seed)
    center = (rng.choice([rng.uniform(-180.0, 180.0), 179.9999, -179.9999]), rng.uniform(-70.0, 70.0))
    width_m, height_m = rng.uniform(10.0, 10_000.0), rng.uniform(10.0, 10_000.0)
    _, members = around(center, width_m, height_m)
    for wider_m, higher_m, inside in (
        (4.0, 4.0, sorted(members)),
        (-4.0, 4.0, ["-10", "10"]),
        (4.0, -4.0, ["0-1", "01"]),
        (-4.0, -4.0, []),
    ):
        area, _ = around(center, width_m + wider_m, height_m + higher_m)
        assert sorted(held(area, members)) == inside
