"""The Bandit Master: which feed a session gets, with a probability that is known exactly.

A feed's share is its floor plus its part of the rest, which goes by the probability that it is the best
of the eligible feeds. A session is placed by its hash, so the choice sticks without being stored and
needs no random number.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.quadrature import best_probabilities
from nearcast_bandit.stream import keyed_hash

SHAPE_CEILING = 1e12


@dataclass(frozen=True, slots=True)
class FeedArm:
    """A feed, the Beta posterior of its reward, and the least share of sessions it is given."""

    name: str
    a: float
    b: float
    floor: float = 0.0

    def __post_init__(self) -> None:
        for letter, shape in (("A", self.a), ("B", self.b)):
            if not SHAPE_FLOOR <= shape <= SHAPE_CEILING:
                raise ValueError(
                    f"{letter} of feed {self.name!r} is {shape};"
                    f" it must lie in [{SHAPE_FLOOR:g}, {SHAPE_CEILING:g}]"
                )
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor of feed {self.name!r} is {self.floor}; it must lie in [0, 1]")


@dataclass(frozen=True, slots=True)
class FeedShare:
    """The share of sessions that a feed is given: its propensity."""

    feed: str
    probability: float


def feed_shares(arms: Sequence[FeedArm], eligible: Collection[str] | None = None) -> tuple[FeedShare, ...]:
    """The shares of the eligible feeds (all, when None), in the order of `arms`; they add up to 1."""
    floors = math.fsum(arm.floor for arm in arms)
    if floors > 1 + 1e-9:
        raise ValueError(f"floors of the feeds add up to {floors:g}; lower them until they are at most 1")
    running = [arm for arm in arms if eligible is None or arm.name in eligible]
    if not running:
        raise ValueError(
            f"none of the feeds {[arm.name for arm in arms]} is eligible; keep one that always is"
        )
    best = best_probabilities(np.array([arm.a for arm in running]), np.array([arm.b for arm in running]))
    free = max(1 - math.fsum(arm.floor for arm in running), 0.0)
    return tuple(
        FeedShare(arm.name, arm.floor + free * float(chance))
        for arm, chance in zip(running, best, strict=True)
    )


def choose(shares: Sequence[FeedShare], unit: float) -> FeedShare:
    """The feed whose interval of the cumulated shares holds `unit`, a number in [0, 1)."""
    if not 0 <= unit < 1:
        raise ValueError(f"unit is {unit}; it must lie in [0, 1)")
    reached = 0.0
    for share in shares:
        reached += share.probability
        if unit < reached:
            return share
    # Rounding may leave the sum a hair below 1.
    return max(enumerate(shares), key=lambda place: (place[1].probability > 0, place[0]))[1]


def session_unit(salt: bytes, session: bytes, epoch: int) -> float:
    """Where a session falls in [0, 1) for this policy epoch; `salt` has 1 to 64 bytes."""
    return (keyed_hash(salt, b"nearcast feed", epoch, session, b"") >> 11) * 2.0**-53
