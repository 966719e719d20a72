"""Distance and cover of one place: the same numbers, and nobody left out."""

import math

from hypothesis import example, given, settings
from hypothesis import strategies as st

from nearcast_geo.distance import EARTH_RADIUS_M, HALF_CIRCUMFERENCE_M, distance_m
from nearcast_geo.native import exact_distance_m, window_degrees
from nearcast_geo.point import Point

BAND = 0.01

latitudes = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 89.999, 0.0]))
longitudes = st.floats(-180, 179.9999)


@settings(deadline=None)  # the first call may compile
@given(latitudes, longitudes, latitudes, longitudes)
@example(0.0, 0.0, 0.0, 0.0)
@example(10.0, 5.0, 12.0, 5.0)
def test_distance_is_that_of_two_points(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    expected = distance_m(Point(lat1, lon1), Point(lat2, lon2))
    assert math.isclose(exact_distance_m(lat1, lon1, lat2, lon2), expected, rel_tol=1e-9, abs_tol=1e-6)


@settings(deadline=None)
@given(latitudes, st.floats(1.0, 2e7), st.floats(0.0, 1.0), st.floats(0.0, 2 * math.pi))
def test_whoever_is_within_the_arc_is_within_the_window(
    lat: float, arc_m: float, share: float, bearing: float
) -> None:
    phi, away = math.radians(lat), min(share * arc_m, HALF_CIRCUMFERENCE_M) / EARTH_RADIUS_M
    sine = math.sin(phi) * math.cos(away) + math.cos(phi) * math.sin(away) * math.cos(bearing)
    found = math.degrees(math.asin(max(-1.0, min(1.0, sine))))
    across = math.sin(bearing) * math.sin(away) * math.cos(phi)
    lon = math.degrees(math.atan2(across, math.cos(away) - math.sin(phi) * sine))
    south = math.floor((found + 90.0) / BAND) * BAND - 90.0
    half = window_degrees(lat, arc_m + 0.01, max(south - 1e-6, -90.0), min(south + BAND + 1e-6, 90.0))
    assert abs(lon) <= half


def test_bands_beyond_the_arc_have_no_window() -> None:
    assert window_degrees(48.0, 1000.0, 49.0, 49.01) < 0.0
    assert window_degrees(48.0, 1000.0, 46.9, 46.91) < 0.0


def test_a_window_is_hardly_wider_than_the_circle() -> None:
    half = window_degrees(48.0, 5000.0, 48.0, 48.01)
    assert half < 1.01 * math.degrees(5000.0 / EARTH_RADIUS_M) / math.cos(math.radians(48.0))
