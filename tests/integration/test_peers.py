"""Postgres with earthdistance, as the benchmarks ask it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.decision.world import World, make_world, places_with
from benchmarks.peers.postgres import Earthdistance, fill, open_earthdistance
from benchmarks.peers.question import AT_RANDOM, NEAREST
from nearcast_cli.embedded import EmbeddedServers
from tests.nearest import eligible_by_distance


@contextmanager
def _earthdistance(dsn: str, world: World) -> Iterator[Earthdistance]:
    asyncio.run(fill(dsn, world))
    with open_earthdistance(dsn) as peer:
        yield peer


@pytest.mark.timeout(300)
def test_earthdistance_finds_the_nearest_that_may_be_shown(tmp_path: Path) -> None:
    world = make_world(20_000)
    points = places_with(world, 60, 3)
    with (
        EmbeddedServers(tmp_path / "state", redis_url="redis://nobody") as endpoints,
        _earthdistance(endpoints.postgres_dsn, world) as peer,
    ):
        ways = peer.ways(points)
        for point, nearest, chance in zip(points, ways[NEAREST], ways[AT_RANDOM], strict=True):
            known = eligible_by_distance(world, point)
            assert len(known) > 20
            assert nearest() == known[:20]
            assert set(chance()) <= set(known)
            assert len(set(chance())) == 20
