"""Estimates from a town's decision log beside its known truth, by few logs; the whole by
`benchmarks.published.offpolicy --town`."""

import pytest

from benchmarks.published.offpolicy import LEAST_NAIVE, LIMIT, biases
from benchmarks.published.townlog import town_log


@pytest.mark.slow
async def test_a_decision_log_tells_what_a_later_belief_would_earn() -> None:
    world = await town_log(3, places=6, early_steps=200, late_steps=800)
    found = {each.estimator: each for each in biases(world, 12, 3_000, {})}
    assert abs(found["logged"].off) > LEAST_NAIVE
    for name in ("ips", "snips"):
        assert abs(found[name].z) < LIMIT
        assert abs(found[name].off) < abs(found["logged"].off) / 3
