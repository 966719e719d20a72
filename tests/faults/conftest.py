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


@pytest.fixture(scope="session")
async def whole_house() -> AsyncIterator[House]:
    with open_directory(on_disk=True) as directory:
        async with open_house(Path(directory), SEED) as house:
            yield house


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
