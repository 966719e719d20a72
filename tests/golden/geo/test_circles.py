"""Whom a circle holds, in which order and how far away: memory, Redis, and the replica's kernel and twin."""

import math
from itertools import pairwise

import numpy as np
import pytest

from nearcast_geo.distance import distance_m, distances_m
from nearcast_geo.point import Point, normalise
from tests.golden.geo.indexes import Index, Near
from tests.golden.geo.tclrandom import Searched, searched_worlds
from tests.golden.geo.worlds import CASES, MIDTOWN, NEW_YORK, OPEN_SEA, SAID_M, Case, items_of, point
from tests.servedworlds import served

LARGEST_M = 20_100_000.0


def names(found: list[Near]) -> list[str]:
    return [each.name for each in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_circle_holds_whom_it_should_from_near_to_far(index: Index, case: Case) -> None:
    await index.fill(items_of(case.members))
    found = await index.near(point(case.center), case.radius_m)
    if case.unordered:
        assert sorted(names(found)) == sorted(case.inside)
    else:
        assert names(found) == case.inside
    for each, said_m in zip(found, case.metres, strict=bool(case.metres)):
        assert each.distance_m == pytest.approx(said_m, abs=SAID_M)


async def test_of_too_many_the_nearest_are_kept_and_not_those_met_first(index: Index) -> None:
    await index.fill(items_of(NEW_YORK))
    nearest = ["central park n/q/r", "4545", "union square"]
    assert names(await index.near(point(MIDTOWN), 10_000.0, 3)) == nearest


async def test_items_at_one_point_come_by_their_ids_whatever_came_first(index: Index) -> None:
    await index.fill([served(number, (15.0, 37.0), item_id=name) for number, name in enumerate("cab", 1)])
    for center in (Point(15.0, 37.0), Point(15.0, 37.01)):
        assert names(await index.near(center, 5000.0)) == ["a", "b", "c"]
        assert names(await index.near(center, 5000.0, 2)) == ["a", "b"]


async def test_the_distance_itself_is_within_and_a_hair_less_is_not(index: Index) -> None:
    await index.fill(items_of(NEW_YORK))
    for each in await index.near(point(MIDTOWN), 30_000.0):
        assert names(await index.near(point(MIDTOWN), each.distance_m))[-1] == each.name
        assert each.name not in names(await index.near(point(MIDTOWN), each.distance_m - 1e-6))


@pytest.mark.parametrize("center", [(1.0, 2.2), (179.99, -89.5), (-180.0, 0.0), (20.0, 85.0)], ids=str)
async def test_a_wider_circle_never_loses_anybody(index: Index, center: tuple[float, float]) -> None:
    await index.fill(items_of(OPEN_SEA))
    radii_m = [4891.0, 5000.0, 300e3, 900e3, 2000e3, 5000e3, 9000e3, 15_000e3, LARGEST_M]
    found = [names(await index.near(point(center), radius_m)) for radius_m in radii_m]
    for narrower, wider in pairwise(found):
        assert wider[: len(narrower)] == narrower
    assert sorted(found[-1]) == sorted(OPEN_SEA)


async def test_five_items_one_within_2000_km_and_all_within_20000(index: Index) -> None:
    await index.fill(items_of({"near": (1.0, 2.0), "1": (30, 2), "2": (-30, 9), "3": (1, 40), "4": (52, 15)}))
    assert names(await index.near(Point(2.2, 1.0), 2_000_000.0)) == ["near"]
    assert len(await index.near(Point(2.2, 1.0), 20_000_000.0)) == 5


async def test_over_the_whole_earth_distances_never_decrease(index: Index) -> None:
    rng = np.random.default_rng(35)
    lats, lons = np.degrees(np.arcsin(rng.uniform(-1, 1, 2000))), rng.uniform(-180, 180, 2000)
    world = [served(n + 1, (float(lats[n]), float(lons[n])), item_id=f"{n:04}") for n in range(2000)]
    await index.fill(world)
    for center in (Point(0.0, 0.0), Point(90.0, 0.0), Point(-33.9, 151.2), Point(12.0, -180.0)):
        found = await index.near(center, LARGEST_M)
        metres = [each.distance_m for each in found]
        assert metres == sorted(metres)
        assert len(set(names(found))) == 2000


async def test_a_place_far_away_is_measured_as_the_nearest_one_and_found_once(index: Index) -> None:
    near, nearer = (48.95, 2.35), (48.86, 2.35)
    await index.fill([served(1, near, (0.0, 0.0), nearer), served(2, (48.87, 2.35))])
    found = await index.near(Point(48.85, 2.35), 20_000.0)
    assert [(each.name, each.place) for each in found] == [("item-1", 2), ("item-2", 0)]
    assert found[0].distance_m == pytest.approx(distance_m(Point(48.85, 2.35), Point(*nearer)), abs=1e-6)


@pytest.mark.parametrize(
    ("reach_m", "away_m", "radius_m", "found"),
    [(20e3, 15e3, 5e3, True), (20e3, 21e3, 5e3, False), (3e3, 4e3, 5e3, False), (20e3, 21e3, 30e3, False)],
)
async def test_a_reach_of_its_own_takes_the_place_of_the_radius(
    index: Index, reach_m: float, away_m: float, radius_m: float, found: bool
) -> None:
    for lat in (0.0, 59.9, 84.9, -89.9):
        north = lat + math.degrees(away_m / 6372797.560856)
        place = normalise(north, 10.0) if north <= 90.0 else normalise(180.0 - north, -170.0)
        await index.fill([served(1, (place.lat, place.lon), reach_m=reach_m)])
        assert bool(await index.near(Point(lat, 10.0), radius_m)) is found


@pytest.mark.parametrize("searched", searched_worlds(), ids=lambda searched: searched.name)
async def test_searches_that_once_lost_somebody_lose_nobody(index: Index, searched: Searched) -> None:
    """Of 20,000 points those that are hardest to tell apart: nearest to the edge of the circle."""
    lats, lons = searched.points()
    away_m = distances_m(searched.center.lat, searched.center.lon, lats, lons)
    hardest = np.argsort(np.abs(away_m - searched.radius_m))[:400].tolist()
    await index.fill([served(n + 1, (float(lats[n]), float(lons[n])), item_id=str(n)) for n in hardest])
    found = {int(name) for name in names(await index.near(searched.center, searched.radius_m))}
    assert found == {n for n in hardest if away_m[n] <= searched.radius_m}
    assert 0 < len(found) < 400
