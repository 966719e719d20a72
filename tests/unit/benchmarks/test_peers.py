"""Peers in this process find what is there, and one that cannot be installed says why."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.decision.world import World, make_world, places_with
from benchmarks.peers.installing import PeerMissingError, bring
from benchmarks.peers.question import AT_RANDOM, NEAREST, box
from benchmarks.peers.sqlite import open_rtree
from nearcast_geo.distance import distances_m
from nearcast_geo.point import Point
from tests.nearest import eligible_by_distance


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(20_000)


def test_sqlite_finds_the_nearest_that_may_be_shown(world: World) -> None:
    points = places_with(world, 60, 5)
    with open_rtree(world) as peer:
        ways = peer.ways(points)
        for point, nearest, chance in zip(points, ways[NEAREST], ways[AT_RANDOM], strict=True):
            known = eligible_by_distance(world, point)
            assert len(known) > 20
            assert nearest() == known[:20]
            assert set(chance()) <= set(known)
            assert len(set(chance())) == 20


def test_the_box_holds_the_circle_and_little_more() -> None:
    point = Point(59.0, 10.0)
    south, north, west, east = box(point, 5_000.0)
    lats, lons = np.array([south, north, 59.0, 59.0]), np.array([10.0, 10.0, west, east])
    reach = distances_m(point.lat, point.lon, lats, lons)
    assert min(reach) > 5_000.0
    assert max(reach) < 5_050.0


def test_a_package_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "index"
    empty.mkdir()
    for name, value in {"UV_NO_INDEX": "1", "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(PeerMissingError, match="nothing-there==1 cannot be installed: "):
        bring("nothing-there==1", tmp_path)

    assert list(tmp_path.iterdir()) == [empty]
