"""The table of territories tells what the areas themselves say, and cells miss no area."""

import math

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from nearcast_geo.area import Area
from nearcast_geo.areacells import MOST_CELLS, STEPS, cells_at, cells_of
from nearcast_geo.geojson import MARKET_LIMITS, AreaError, read_area
from nearcast_geo.point import normalise
from nearcast_geo.territories import NOWHERE, Territories
from tests.geojsons import polygon

POINTS = 3000
Floats = NDArray[np.float64]


def tiles(rng: np.random.Generator, count: int, bounds: tuple[float, float, float, float]) -> list[Area]:
    """Areas that fill a box without gap or overlap."""
    west, south, east, north = bounds
    seeds = np.column_stack([rng.uniform(west, east, count), rng.uniform(south, north, count)])
    frame = shapely.box(*bounds)
    cells = shapely.voronoi_polygons(shapely.multipoints(seeds), extend_to=frame)
    parts = shapely.coverage_simplify(list(shapely.get_parts(cells)), 0.0)
    return [Area.of(part.intersection(frame)) for part in parts]


def blobs(rng: np.random.Generator, count: int) -> list[Area]:
    """Areas that overlap, anywhere: across the antimeridian, at and around poles."""
    found: list[Area] = []
    while len(found) < count:
        lon, lat = rng.uniform(-180.0, 180.0), rng.choice([rng.uniform(-90.0, 90.0), 86.0, -88.0])
        angles = np.sort(rng.uniform(0.0, math.tau, rng.integers(3, 12)))
        sizes = rng.uniform(0.1, 12.0) * rng.uniform(0.5, 1.0, len(angles))
        lats = np.clip(lat + sizes * np.sin(angles), -90.0, 90.0)
        lons = (lon + sizes * np.cos(angles) * rng.choice([1.0, 8.0]) + 180.0) % 360.0 - 180.0
        try:
            found.append(
                read_area(polygon(list(zip(lons.tolist(), lats.tolist(), strict=True))), MARKET_LIMITS)
            )
        except AreaError:
            continue  # crosses itself: another one
    return found


def points_for(rng: np.random.Generator, areas: list[Area], count: int = POINTS) -> tuple[Floats, Floats]:
    """Anywhere, close to areas, on corners and borders and a hair beside them, at poles, at 180 degrees."""
    corners = shapely.get_coordinates([area.shape for area in areas])
    chosen = corners[rng.integers(0, len(corners), count)]
    ends = np.roll(corners, -1, axis=0)[rng.integers(0, len(corners), count)]
    middles = (chosen + ends) / 2.0
    hair = chosen + rng.normal(0.0, 1e-9, chosen.shape)
    close = chosen + rng.normal(0.0, 1.0, chosen.shape)
    anywhere = np.column_stack([rng.uniform(-180, 180, count), rng.uniform(-90, 90, count)])
    seam = np.column_stack([rng.choice([-180.0, 180.0], count // 10), rng.uniform(-90, 90, count // 10)])
    poles = np.column_stack([rng.uniform(-180, 180, 40), rng.choice([-90.0, 90.0], 40)])
    every = np.concatenate([chosen, middles, hair, close, anywhere, seam, poles])
    lons = (every[:, 0] + 180.0) % 360.0 - 180.0
    given = np.abs(every[:, 0]) <= 180.0
    lons[given] = every[given, 0]
    normal = [normalise(lat, lon) for lon, lat in zip(lons, np.clip(every[:, 1], -90, 90), strict=True)]
    return np.array([point.lat for point in normal]), np.array([point.lon for point in normal])


def by_areas(areas: list[Area], lats: Floats, lons: Floats) -> list[int]:
    """Each area asked in turn."""
    inside = np.array([area.covers_each(lats, lons) for area in areas])
    return np.where(inside.any(axis=0), inside.argmax(axis=0), NOWHERE).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_the_table_tells_what_each_area_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    areas = blobs(rng, 60)
    territories = Territories(areas)
    lats, lons = points_for(rng, areas)
    expected = by_areas(areas, lats, lons)
    assert territories.each(lats, lons).tolist() == expected
    assert territories.exactly(lats, lons).tolist() == expected
    some = rng.integers(0, len(lats), 1500).tolist()
    assert [territories.at(float(lats[n]), float(lons[n])) for n in some] == [expected[n] for n in some]


@pytest.mark.parametrize("bounds", [(-10.0, 40.0, 30.0, 66.0), (-180.0, -90.0, 180.0, 90.0)])
def test_where_areas_tile_every_point_is_in_one(bounds: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(9)
    areas = tiles(rng, 80, bounds)
    territories = Territories(areas)
    lats, lons = points_for(rng, areas)
    west, south, east, north = bounds
    within = (lats >= south) & (lats <= north) & (lons >= west) & ((lons <= east) | (lons == -180.0))
    found = territories.each(lats, lons)
    assert (found[within] != NOWHERE).all()
    assert len(set(found[within].tolist())) == len(areas)
    assert found.tolist() == by_areas(areas, lats, lons)


def test_one_question_and_many_get_the_same_answer() -> None:
    rng = np.random.default_rng(5)
    for area in blobs(rng, 15):
        lats, lons = points_for(rng, [area], 100)
        one_by_one = [area.covers(lat, lon) for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True)]
        assert area.covers_each(lats, lons).tolist() == one_by_one


def test_every_point_of_an_area_is_in_one_of_its_cells() -> None:
    rng = np.random.default_rng(6)
    for area in blobs(rng, 60):
        cells = set(cells_of(area))
        assert len(cells) <= MOST_CELLS
        lats, lons = points_for(rng, [area], 60)
        for lat, lon in zip(lats.tolist(), lons.tolist(), strict=True):
            if area.covers(lat, lon):
                assert cells & set(cells_at(lat, lon)), (lat, lon)


def test_a_town_has_cells_of_a_town() -> None:
    town = read_area(polygon([(10.6, 59.8), (10.9, 59.8), (10.9, 60.0), (10.6, 60.0)]), MARKET_LIMITS)
    assert {cell.partition(".")[0] for cell in cells_of(town)} == {"0"}
    assert not set(cells_of(town)) & set(cells_at(59.9, 10.3))
    assert all(360.0 % step == 0.0 for step in STEPS)
