"""One house of processes for the whole suite: starting one takes longer than most tests."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.furnishing import open_house
from tests.faults.house import House
from tests.services import open_directory

SEED = int(os.environ.get("NEARCAST_FAULT_SEED", "1"))


HOUSE = pytest.StashKey[House]()


@pytest.fixture(scope="session")
async def whole_house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    with open_directory(on_disk=True) as directory:
        async with open_house(Path(directory), SEED) as house:
            request.config.stash[HOUSE] = house
            yield house


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """While other rooms are tested nobody is at home: idle processes take a seventh of a core."""
    house = item.config.stash.get(HOUSE, None)
    if house and nextitem and nextitem.path.parent != item.path.parent:
        for station in house.stations:
            station.abandon()


@pytest.fixture
async def house(whole_house: House) -> House:
    """At rest: the first gateway and keeper run unarmed, nothing lies in the way, and the log is drained."""
    for proxy in whole_house.proxies.all():
        proxy.mend()
    firsts = (whole_house.gateways[0], whole_house.keepers[0])
    await asyncio.gather(*(station.kill() for station in whole_house.stations if station not in firsts))
    await asyncio.gather(*(station.restore() for station in firsts))
    await whole_house.drained()
    return whole_house
