"""Worlds in which searches of Redis were once wrong: a seed of their generator tells centre and points."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from nearcast_geo.point import Point

POINTS = 20_000
_MODULUS, _MULTIPLIER = 2**31 - 1, 16807

# Seed, radius in kilometres, longitude and latitude of the centre.
_ONCE_WRONG = (
    (1482225976969, 7083, 81.634948934258375, 30.561509253718668),
    (1482340074151, 5416, -70.863281847379767, -46.347003465679947),
    (1499014685896, 6064, -89.818768962202014, -40.463868561416803),
    (1412, 156, 149.29737817929004, 15.95807862745508),
    (441574, 143, 59.235461856813856, 66.269555127373678),
    (160645, 187, -101.88575239939883, 49.061997951502917),
    (750269, 154, -90.187939661642517, 66.615930412251487),
    (342880, 145, 163.03472387745728, 64.012747720821181),
    (729955, 143, 137.86663517256579, 63.986745399416776),
    (939895, 151, 59.149620271823181, 65.204186651485145),
    (564862, 149, 84.062063109158544, -65.685403922426232),
    (1546032440391, 16751, -1.8175081637769495, 20.665668878082954),
)


@dataclass(frozen=True, slots=True)
class Searched:
    """A circle, and the seed of the points around it."""

    seed: int
    center: Point
    radius_m: float

    @property
    def name(self) -> str:
        return f"{self.radius_m / 1000:.0f} km by {self.seed}"

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitudes and longitudes of the world."""
        numbers = rolls(self.seed)
        # One roll was the radius; a very large one took another, by which it was large.
        for _ in range(1 if self.radius_m < 1e6 else 2):
            next(numbers)
        center = (next(numbers) * 360.0 - 180.0, next(numbers) * 140.0 - 70.0)
        assert center == pytest.approx((self.center.lon, self.center.lat), abs=1e-12)
        world = np.array([next(numbers) for _ in range(2 * POINTS)]).reshape(POINTS, 2)
        return world[:, 1] * 140.0 - 70.0, world[:, 0] * 360.0 - 180.0


def searched_worlds() -> list[Searched]:
    """All of them."""
    return [Searched(seed, Point(lat, lon), km * 1000.0) for seed, km, lon, lat in _ONCE_WRONG]


def rolls(seed: int) -> Iterator[float]:
    """Numbers in (0, 1) of the generator that multiplies by 16807 modulo 2^31 - 1."""
    state = seed % 2**31 * _MULTIPLIER % _MODULUS
    while True:
        state = state * _MULTIPLIER % _MODULUS
        yield state / _MODULUS
