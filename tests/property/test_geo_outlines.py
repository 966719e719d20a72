"""An outline says of any point what the area says that it was made of."""

import numpy as np
import pytest

from nearcast_compiling.native import WHY_NOT
from nearcast_geo.area import Area
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_geo.outline import NOWHERE, STRIPS, holds, outline_of, quick_outline
from tests.geojsons import multipolygon, polygon
from tests.property.test_geo_areas import Floats, blobs, points_for, tiles

HOLED = polygon([(10.0, 50.0), (14.0, 50.1), (12.0, 53.0)], [(11.7, 51.0), (12.2, 51.1), (12.0, 51.5)])
ACROSS = polygon(
    [(170.0, -20.0), (-170.0, -21.0), (-172.0, 10.0), (171.0, 11.0)],
    [(179.0, 0.0), (-179.0, 0.1), (180.0, 1.0)],
)
PARTS = multipolygon([(0.0, 0.0), (0.1, 0.0), (0.0, 0.1)], [(0.2, 0.0), (0.3, 0.0), (0.2, 0.1)])
POLAR = polygon([(-60.0, 70.0), (60.0, 71.0), (180.0, 72.0)])


def special() -> list[Area]:
    return [read_area(text, MARKET_LIMITS) for text in (HOLED, ACROSS, PARTS, POLAR)]


def by_machine_code(outline: Floats, lats: Floats, lons: Floats) -> list[bool]:
    from nearcast_compiling.memory import address_of
    from nearcast_geo.containment import outline_holds

    address = address_of(outline)
    return [bool(outline_holds(address, *each)) for each in zip(lats.tolist(), lons.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(3))
def test_an_outline_holds_what_its_area_covers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    areas = [*blobs(rng, 15), *tiles(rng, 12, (-180.0, -90.0, 180.0, 90.0)), *special()]
    strips = 0.0
    for area in areas:
        lats, lons = points_for(rng, [area], 40)
        expected = area.covers_each(lats, lons).tolist()
        for outline in (outline_of(area), quick_outline(area)):
            strips = max(strips, float(outline[STRIPS]))
            if not WHY_NOT:
                assert by_machine_code(outline, lats, lons) == expected
        some = rng.integers(0, len(expected), 20).tolist()
        assert [holds(outline, float(lats[n]), float(lons[n])) for n in some] == [expected[n] for n in some]
    assert strips > 1.0


def test_many_corners_are_laid_out_in_strips_and_little_is_kept_twice() -> None:
    turns = np.linspace(0.0, 2.0 * np.pi, 2000, endpoint=False)
    ring = np.column_stack([np.cos(turns), np.sin(turns)]).tolist()
    area = read_area(polygon([(x, y) for x, y in ring]), MARKET_LIMITS)
    assert outline_of(area).size < 2 * 2000 + 20
    assert quick_outline(area)[STRIPS] > 50
    assert quick_outline(area).size < 5 * 2 * 2000


def test_nowhere_holds_nothing() -> None:
    for lat, lon in ((0.0, 0.0), (1.0, 1.0), (90.0, 0.0), (-90.0, 0.0), (0.0, -180.0)):
        assert not holds(NOWHERE, lat, lon)
        if not WHY_NOT:
            assert by_machine_code(NOWHERE, np.array([lat]), np.array([lon])) == [False]
