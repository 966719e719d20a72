"""Where things are in a town: districts of streets that cross, instead of points spread evenly."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_geo.point import Point
from nearcast_town.constants import WorldConstants
from nearcast_town.names import street_name

Floats = NDArray[np.float64]

BETWEEN_DISTRICTS_M = 1800.0
OFF_THE_STREET_M = 8.0
METRES_PER_NUMBER = 9.0


@dataclass(frozen=True, slots=True)
class Street:
    """A straight stretch; metres east and north of the town's centre."""

    name: str
    east_m: float
    north_m: float
    heading: float
    length_m: float


@dataclass(frozen=True, slots=True)
class District:
    """Streets around one middle and the share of the town's life that takes place there."""

    share: float
    streets: tuple[Street, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """A place on a street."""

    point: Point
    street: str
    number: int


@dataclass(frozen=True, slots=True)
class StreetMap:
    """All districts of a town around its centre."""

    centre: Point
    districts: tuple[District, ...]

    def address(self, rng: np.random.Generator) -> Address:
        """A random place: a district by its share, a street by its length, then anywhere along it."""
        district = self.districts[_pick(rng, [district.share for district in self.districts])]
        street = district.streets[_pick(rng, [street.length_m for street in district.streets])]
        along_m = rng.uniform(0, street.length_m)
        east_m = street.east_m + along_m * math.sin(street.heading) + rng.normal(0, OFF_THE_STREET_M)
        north_m = street.north_m + along_m * math.cos(street.heading) + rng.normal(0, OFF_THE_STREET_M)
        return Address(
            offset(self.centre, east_m, north_m), street.name, 1 + int(along_m / METRES_PER_NUMBER)
        )


def lay_streets(rng: np.random.Generator, centre: Point, constants: WorldConstants) -> StreetMap:
    """Draw the map: dense and sparse districts, apart from each other, each with a grain of its own."""
    middles = _middles(rng, constants)
    shares = rng.uniform(0.4, 1.6, len(middles))
    districts = tuple(
        District(float(share), _streets(rng, east_m, north_m))
        for (east_m, north_m), share in zip(middles, shares / shares.sum(), strict=True)
    )
    return StreetMap(centre, districts)


def offset(origin: Point, east_m: float, north_m: float) -> Point:
    """The point so many metres east and north, along a great circle; good anywhere, poles included."""
    lats, lons = offsets(
        np.array([origin.lat]), np.array([origin.lon]), np.array([east_m]), np.array([north_m])
    )
    return Point(float(lats[0]), float(lons[0]))


def offsets(lats: Floats, lons: Floats, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
    """As `offset`, for many origins at once: latitudes and longitudes in degrees."""
    heading = np.arctan2(east_m, north_m)
    angle = np.hypot(east_m, north_m) / EARTH_RADIUS_M
    from_lats = np.radians(lats)
    sines = np.sin(from_lats) * np.cos(angle) + np.cos(from_lats) * np.sin(angle) * np.cos(heading)
    sines = np.clip(sines, -1.0, 1.0)
    turned = np.arctan2(
        np.sin(heading) * np.sin(angle) * np.cos(from_lats), np.cos(angle) - np.sin(from_lats) * sines
    )
    wrapped: Floats = (lons + np.degrees(turned) + 180.0) % 360.0 - 180.0
    arrived: Floats = np.degrees(np.arcsin(sines))
    return arrived, wrapped


def _middles(rng: np.random.Generator, constants: WorldConstants) -> list[tuple[float, float]]:
    middles: list[tuple[float, float]] = [(0.0, 0.0)]
    apart_m = BETWEEN_DISTRICTS_M
    while len(middles) < constants.district_count:
        distance_m = constants.town_radius_m * math.sqrt(rng.random())
        heading = rng.uniform(0, 2 * math.pi)
        middle = (distance_m * math.sin(heading), distance_m * math.cos(heading))
        if all(math.dist(middle, other) >= apart_m for other in middles):
            middles.append(middle)
        else:
            apart_m *= 0.99
    return middles


def _streets(rng: np.random.Generator, east_m: float, north_m: float) -> tuple[Street, ...]:
    grain = rng.uniform(0, math.pi / 2)
    spread_m = rng.uniform(150, 550)
    streets = []
    for _ in range(int(rng.integers(4, 9))):
        heading = grain + math.pi / 2 * int(rng.integers(4)) + rng.normal(0, 0.08)
        length_m = rng.uniform(150, 700)
        middle_east_m, middle_north_m = east_m + rng.normal(0, spread_m), north_m + rng.normal(0, spread_m)
        streets.append(
            Street(
                street_name(rng),
                middle_east_m - math.sin(heading) * length_m / 2,
                middle_north_m - math.cos(heading) * length_m / 2,
                heading,
                length_m,
            )
        )
    return tuple(streets)


def _pick(rng: np.random.Generator, weights: list[float]) -> int:
    reached = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        reached -= weight
        if reached < 0:
            return index
    return len(weights) - 1
