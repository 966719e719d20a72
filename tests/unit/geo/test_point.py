import math

import pytest

from nearcast_geo.point import (
    LatitudeOutOfRangeError,
    LongitudeOutOfRangeError,
    NotFiniteError,
    Point,
    PointError,
    normalise,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((59.91, 10.75), Point(59.91, 10.75)),
        ((90.0, 0.0), Point(90.0, 0.0)),
        ((-90.0, -180.0), Point(-90.0, -180.0)),
        ((85.06, 10.0), Point(85.06, 10.0)),
        ((-85.06, 10.0), Point(-85.06, 10.0)),
        ((89.981, -17.817), Point(89.981, -17.817)),
        ((40.7, -73.9), Point(40.7, -73.9)),
        ((-73.9, 40.7), Point(-73.9, 40.7)),
        ((0.0, 180.0), Point(0.0, -180.0)),
        ((5e-324, -5e-324), Point(5e-324, -5e-324)),
        ((12.345678901234567, 98.76543210987654), Point(12.345678901234567, 98.76543210987654)),
    ],
)
def test_normalise_keeps_every_place_on_earth(given, expected):
    assert normalise(*given) == expected


def test_normalise_leaves_no_negative_zero():
    point = normalise(-0.0, -0.0)
    assert math.copysign(1.0, point.lat) == 1.0
    assert math.copysign(1.0, point.lon) == 1.0


@pytest.mark.parametrize(
    ("lat", "lon", "error", "reason", "field"),
    [
        (90.0001, 0.0, LatitudeOutOfRangeError, "LATITUDE_OUT_OF_RANGE", "latitude"),
        (-91.0, 0.0, LatitudeOutOfRangeError, "LATITUDE_OUT_OF_RANGE", "latitude"),
        (1e308, 0.0, LatitudeOutOfRangeError, "LATITUDE_OUT_OF_RANGE", "latitude"),
        (0.0, 180.0001, LongitudeOutOfRangeError, "LONGITUDE_OUT_OF_RANGE", "longitude"),
        (0.0, 360.0, LongitudeOutOfRangeError, "LONGITUDE_OUT_OF_RANGE", "longitude"),
        (0.0, -540.0, LongitudeOutOfRangeError, "LONGITUDE_OUT_OF_RANGE", "longitude"),
        (math.nan, 0.0, NotFiniteError, "NOT_FINITE", "latitude"),
        (math.inf, 0.0, NotFiniteError, "NOT_FINITE", "latitude"),
        (0.0, math.nan, NotFiniteError, "NOT_FINITE", "longitude"),
        (0.0, -math.inf, NotFiniteError, "NOT_FINITE", "longitude"),
        (float("1e400"), 0.0, NotFiniteError, "NOT_FINITE", "latitude"),
    ],
)
def test_normalise_refuses_what_is_no_place(lat, lon, error, reason, field):
    with pytest.raises(error) as caught:
        normalise(lat, lon)
    assert isinstance(caught.value, PointError)
    assert caught.value.reason == reason
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("lat", "lon", "swapped"),
    [
        (120.0, 30.0, True),
        (-122.4, 37.8, True),
        (180.0, 90.0, True),
        (120.0, 100.0, False),
        (360.0, 10.0, False),
    ],
)
def test_a_swapped_pair_gets_a_hint(lat, lon, swapped):
    with pytest.raises(LatitudeOutOfRangeError) as caught:
        normalise(lat, lon)
    assert caught.value.looks_swapped is swapped
    assert ("swapped" in str(caught.value)) is swapped


@pytest.mark.parametrize(("lat", "lon"), [(123.456789, 12.345678), (12.345678, 223.456789)])
def test_messages_do_not_tell_the_place(lat, lon):
    with pytest.raises(PointError) as caught:
        normalise(lat, lon)
    assert "3.45" not in str(caught.value)
    assert "12.3" not in str(caught.value)
