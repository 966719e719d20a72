"""Everything at once, by a seed: what was acknowledged is counted, once."""

import os
import sys

import pytest

from tests.faults.chaos import Chaos
from tests.faults.conftest import SEED
from tests.faults.house import House

LEAST_KILLS = 12
SOAK_S = float(os.environ.get("NEARCAST_FAULT_SECONDS", "0"))


def tell(line: str) -> None:
    """Seen when the test fails, or with -s."""
    sys.stdout.write(f"{line}\n")


async def survive(house: House, seconds: float) -> None:
    """What led to a failure is told, so that it can be replayed."""
    tell(f"seed {SEED}: replay it with NEARCAST_FAULT_SEED={SEED}")
    chaos = Chaos(house, SEED, tell)
    await chaos.run(seconds, LEAST_KILLS)
    tell(chaos.summary())
    assert await house.verdict() == []
    await house.agrees()
    assert chaos.kills.total() >= LEAST_KILLS


async def test_nothing_is_lost_or_counted_twice_whatever_is_killed(house: House) -> None:
    await survive(house, seconds=1.0)


@pytest.mark.skipif(not SOAK_S, reason="set NEARCAST_FAULT_SECONDS to how long it shall go on")
@pytest.mark.timeout(SOAK_S + 300)
async def test_soak(house: House) -> None:
    await survive(house, SOAK_S)
