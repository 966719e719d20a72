"""One map for every benchmark: cities by seed whose sizes fall as their ranks do, and places around them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bounds = tuple[float, float, float, float]

INHABITED: Bounds = (-180.0, -60.0, 180.0, 60.0)
SPREAD_M = 13_000.0
METRES_PER_DEGREE = 111_226.0


@dataclass(frozen=True, slots=True, eq=False)
class Cities:
    """Centres in degrees, the largest first; a city of rank r has a share of 1 / r (Zipf)."""

    lats: Floats
    lons: Floats

    def places(self, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        """Latitudes and longitudes around cities, as many around each as it is large."""
        shares = 1.0 / np.arange(1, self.lats.size + 1)
        city = rng.choice(self.lats.size, count, p=shares / shares.sum())
        spread = SPREAD_M / METRES_PER_DEGREE
        lats = self.lats[city] + rng.normal(0, spread, count)
        lons = self.lons[city] + rng.normal(0, spread, count) / np.cos(np.radians(self.lats[city]))
        return lats, (lons + 180.0) % 360.0 - 180.0


def make_cities(rng: np.random.Generator, count: int, bounds: Bounds = INHABITED) -> Cities:
    """So many within west, south, east and north."""
    west, south, east, north = bounds
    lats = rng.uniform(south, north, count)
    return Cities(lats, rng.uniform(west, east, count))
