"""Random questions, asked of a replica and of the Redis it follows, while items come, move and expire."""

from pathlib import Path

import pytest

from benchmarks.replica.mistakes import MISTAKES, careless
from benchmarks.replica.shadow import House

ITEMS, CHANGES_PER_S, SEED = 300, 200, 11
# A third of the changes goes wrong, so that it is soon found out.
ONE_IN = 3


@pytest.mark.timeout(120)
async def test_replica_and_redis_show_the_same(redis_url: str, tmp_path: Path) -> None:
    tally = await House(redis_url, tmp_path, ITEMS, CHANGES_PER_S, SEED).compare(400)
    assert (tally.requests, tally.requests_different) == (400, 0)
    assert tally.items_alike > 1000
    assert tally.changes > 20


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_careless_writer_is_found_out(redis_url: str, tmp_path: Path, mistake: str) -> None:
    house = House(redis_url, tmp_path, ITEMS, CHANGES_PER_S, SEED, careless(mistake, ONE_IN))
    tally = await house.compare(20_000, until_found=True)
    assert tally.requests_different > 0
