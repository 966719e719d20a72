"""How the feeds stand: the chance of each to be the best, what is still to be won, and whether to go on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.best import Advice, StopRule, standing

_RULE = StopRule()


@dataclass(frozen=True, slots=True)
class FeedStanding:
    """`best` has the chance of each feed to be the best; days since the first session that was counted.

    Nobody acts on the advice but the operator.
    """

    leader: str
    best: Mapping[str, float]
    value_remaining: float
    days: float
    advice: Advice


def stand(shapes: Mapping[str, tuple[float, float]], days: float) -> FeedStanding:
    """How feeds with these posteriors stand after so many days; there is at least one."""
    names = list(shapes)
    a, b = (np.array(column) for column in zip(*shapes.values(), strict=True))
    found = standing(a, b)
    return FeedStanding(
        names[found.leader],
        dict(zip(names, found.chances, strict=True)),
        found.value_remaining,
        days,
        found.advice(days, _RULE),
    )
