"""Each point lies in one territory or in none, on borders and overlaps too."""

import math

import pytest

from nearcast_geo.area import Area
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_geo.territories import NOWHERE, Territories
from tests.geojsons import box, polygon

LEFT, RIGHT = box(10.0, 50.0, 11.0, 51.0), box(11.0, 50.0, 12.0, 51.0)


def areas(*texts: str) -> list[Area]:
    return [read_area(text, MARKET_LIMITS) for text in texts]


def test_no_territory_has_nothing() -> None:
    assert Territories([]).at(50.5, 10.5) == NOWHERE


def test_points_lie_where_they_are() -> None:
    both = Territories(areas(LEFT, RIGHT))
    assert [both.at(50.5, lon) for lon in (9.9, 10.5, 11.5, 12.1)] == [NOWHERE, 0, 1, NOWHERE]


@pytest.mark.parametrize("order", [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_shared_border_belongs_to_the_first_and_each_side_of_it_to_its_own(order: tuple[str, str]) -> None:
    both, left = Territories(areas(*order)), order.index(LEFT)
    west, east = math.nextafter(11.0, 0.0), math.nextafter(11.0, 12.0)
    for lat in (50.0, 50.3, 51.0):
        assert [both.at(lat, lon) for lon in (west, 11.0, east)] == [left, 0, 1 - left]


def test_a_slanting_border_leaves_no_point_between_two_territories() -> None:
    lower = polygon([(10.0, 50.0), (11.0, 50.0), (11.0, 50.7)])
    upper = polygon([(10.0, 50.0), (11.0, 50.7), (10.0, 50.7)])
    both = Territories(areas(lower, upper))
    for step in range(1, 1000):
        lon = 10.0 + step / 1000
        lat = 50.0 + 0.7 * (lon - 10.0)
        for near in (math.nextafter(lat, 0.0), lat, math.nextafter(lat, 90.0)):
            assert both.at(near, lon) in (0, 1)


def test_of_overlapping_territories_the_first_has_the_point() -> None:
    city, country = box(10.4, 50.4, 10.6, 50.6), LEFT
    assert Territories(areas(city, country)).at(50.5, 10.5) == 0
    assert Territories(areas(country, city)).at(50.5, 10.5) == 0
    assert Territories(areas(city, country)).at(50.1, 10.5) == 1


def test_the_meridian_of_180_degrees_belongs_to_the_first_of_both_sides() -> None:
    east, west = box(170.0, 0.0, 180.0, 10.0), box(-180.0, 0.0, -170.0, 10.0)
    assert Territories(areas(east, west)).at(5.0, -180.0) == 0
    assert Territories(areas(west, east)).at(5.0, -180.0) == 0
    assert [Territories(areas(west, east)).at(5.0, lon) for lon in (-179.999, 179.999)] == [0, 1]
    assert Territories(areas(east)).at(5.0, -180.0) == 0


def test_a_pole_belongs_to_the_first_that_touches_it() -> None:
    cap = polygon([(0.0, 85.0), (90.0, 85.0), (180.0, 85.0), (-90.0, 85.0)])
    wedge = box(0.0, 80.0, 90.0, 90.0)
    both = Territories(areas(wedge, cap))
    for lon in (-180.0, -45.0, 45.0):
        assert [both.at(lat, lon) for lat in (90.0, 89.9, -90.0)] == [0, int(lon < 0), NOWHERE]


def test_a_territory_without_border_near_a_cell_settles_it_by_the_table() -> None:
    both = Territories(areas(LEFT, RIGHT))
    assert both.strips is not None
    assert both.strips.value(50.5, 10.5) == 0
    assert both.strips.value(-50.5, 10.5) == NOWHERE
    assert both.strips.value(50.5, 11.0) == -2


def test_the_whole_world_is_one_territory() -> None:
    world = Territories(areas(box(-180.0, -90.0, 180.0, 90.0)))
    points = [(0.0, 0.0), (90.0, 5.0), (-90.0, -180.0), (89.999999, 179.999999), (-45.0, -180.0)]
    assert [world.at(*point) for point in points] == [0] * 5
