"""How feeds stand: who leads, by how much, and the advice that nobody follows by itself."""

import pytest

from nearcast_bandit.best import Advice
from nearcast_server.standings import stand

CLOSE = {"newest": (51.0, 451.0), "draw": (52.0, 450.0), "nearest": (5.0, 500.0)}
CLEAR = {"newest": (10.0, 990.0), "draw": (300.0, 700.0)}


@pytest.mark.parametrize(
    ("shapes", "days", "leader", "advice"),
    [
        (CLOSE, 3.0, "draw", Advice.TOO_EARLY),
        (CLOSE, 20.0, "draw", Advice.GO_ON),
        (CLEAR, 3.0, "draw", Advice.TOO_EARLY),
        (CLEAR, 20.0, "draw", Advice.LEADER_IS_SURE),
        ({"only": (2.0, 8.0)}, 20.0, "only", Advice.LEADER_IS_SURE),
        ({"a": (50_000.0, 50_000.0), "b": (50_001.0, 49_999.0)}, 20.0, "b", Advice.LITTLE_REMAINS),
    ],
)
def test_the_leader_and_the_advice(
    shapes: dict[str, tuple[float, float]], days: float, leader: str, advice: Advice
) -> None:
    found = stand(shapes, days)
    assert (found.leader, found.advice, found.days) == (leader, advice, days)
    assert sum(found.best.values()) == pytest.approx(1.0, abs=1e-6)
    assert set(found.best) == set(shapes)
    assert found.value_remaining >= 0
