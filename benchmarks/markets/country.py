"""A country by seed: markets that share winding borders, and requests that come from where people are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from benchmarks.cities import Cities, Floats, make_cities

BOUNDS = (-10.0, 40.0, 20.0, 60.0)
# Degrees between two positions of a border, as a survey of some kilometres has them.
_STEP = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Country:
    """GeoJSON texts, and latitudes and longitudes of requests."""

    geometries: Sequence[str]
    requests: tuple[Floats, Floats]


def make_country(markets: int, points: int, seed: int) -> Country:
    """Towns by seed with a market each; nine requests of ten come from around a town, large ones first."""
    rng = np.random.default_rng(seed)
    towns = make_cities(rng, markets, BOUNDS)
    frame = shapely.box(*BOUNDS)
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.multipoints(np.column_stack([towns.lons, towns.lats])), extend_to=frame
        )
    )
    shapes = [_wound(shapely.segmentize(cell.intersection(frame), _STEP)) for cell in cells]
    return Country([shapely.to_geojson(shape) for shape in shapes], _requests(rng, towns, points))


def _wound(shape: shapely.Geometry) -> shapely.Geometry:
    """Borders that wind: every position is moved by where it is, so neighbours go on sharing theirs."""

    def move(points: Floats) -> Floats:
        x, y = points[:, 0], points[:, 1]
        return np.column_stack([x + 0.02 * np.sin(9.0 * y + 5.0 * x), y + 0.02 * np.sin(11.0 * x - 4.0 * y)])

    return shapely.transform(shape, move)


def _requests(rng: np.random.Generator, towns: Cities, points: int) -> tuple[Floats, Floats]:
    lats, lons = towns.places(rng, points)
    anywhere = rng.random(points) < 0.1
    west, south, east, north = BOUNDS
    lats[anywhere] = rng.uniform(south, north, anywhere.sum())
    lons[anywhere] = rng.uniform(west, east, anywhere.sum())
    return lats, lons
