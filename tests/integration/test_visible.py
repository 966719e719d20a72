"""A change of an item reaches every gateway, and none goes back to what was before."""

import pytest

from benchmarks.replica.visible import GATEWAYS, measure


@pytest.mark.timeout(240)
async def test_every_gateway_shows_every_change_and_no_older_one_after_it() -> None:
    seen = await measure(seconds=1.0, changes_per_s=40.0, items=60, warm_s=0.0)
    assert len(seen.lateness_s) == GATEWAYS
    assert all(seen.lateness_s.values())
    # On a very busy machine Redis answers now and then, and it may be ahead of the replica.
    assert seen.went_back == 0 or seen.from_redis
