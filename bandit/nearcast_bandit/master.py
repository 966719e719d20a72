"""The Bandit Master: which feed a session gets, with a probability that is known exactly.

A feed's share is its floor plus its part of the rest, which goes by the probability that it is the best
of the eligible feeds, or by top-two sampling where the goal is to find out which is. A feed that has been
tried too little to be judged gets an even part of the rest. A session is placed by its hash, so the choice
sticks without being stored and needs no random number.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.best import top_two_shares
from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.quadrature import best_probabilities
from nearcast_bandit.stream import keyed_unit

SHAPE_CEILING = 1e12


class Goal(StrEnum):
    """What the rest beyond the floors is for: the most reward meanwhile, or to know the best feed soon."""

    REWARD = "reward"
    IDENTIFY = "identify"


@dataclass(frozen=True, slots=True)
class FeedArm:
    """A feed, the Beta posterior of its reward, the least share of sessions it is given, and its trials."""

    name: str
    a: float
    b: float
    floor: float = 0.0
    trials: float = math.inf

    def __post_init__(self) -> None:
        for letter, shape in (("A", self.a), ("B", self.b)):
            if not SHAPE_FLOOR <= shape <= SHAPE_CEILING:
                raise ValueError(
                    f"{letter} of feed {self.name!r} is {shape};"
                    f" it must lie in [{SHAPE_FLOOR:g}, {SHAPE_CEILING:g}]"
                )
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor of feed {self.name!r} is {self.floor}; it must lie in [0, 1]")
        if not self.trials >= 0:
            raise ValueError(f"trials of feed {self.name!r} are {self.trials}; they must not be below 0")


@dataclass(frozen=True, slots=True)
class FeedShare:
    """The share of sessions that a feed is given: its propensity."""

    feed: str
    probability: float


def feed_shares(
    arms: Sequence[FeedArm],
    eligible: Collection[str] | None = None,
    goal: Goal = Goal.REWARD,
    least_trials: float = 0.0,
) -> tuple[FeedShare, ...]:
    """The shares of the eligible feeds (all, when None), in the order of `arms`; they add up to 1.

    Feeds with fewer than `least_trials` are not judged yet.
    """
    floors = math.fsum(arm.floor for arm in arms)
    if floors > 1 + 1e-9:
        raise ValueError(f"floors of the feeds add up to {floors:g}; lower them until they are at most 1")
    running = [arm for arm in arms if eligible is None or arm.name in eligible]
    if not running:
        raise ValueError(
            f"none of the feeds {[arm.name for arm in arms]} is eligible; keep one that always is"
        )
    free = max(1 - math.fsum(arm.floor for arm in running), 0.0)
    return tuple(
        FeedShare(arm.name, arm.floor + free * float(part))
        for arm, part in zip(running, _parts(running, goal, least_trials), strict=True)
    )


def _parts(running: Sequence[FeedArm], goal: Goal, least_trials: float) -> Floats:
    """The part of each feed in what the floors leave; they add up to 1."""
    parts = np.full(len(running), 1 / len(running))
    judged = np.array([arm.trials >= least_trials for arm in running])
    if judged.any():
        a, b = (np.array(shapes)[judged] for shapes in zip(*((arm.a, arm.b) for arm in running), strict=True))
        best = top_two_shares(a, b) if goal is Goal.IDENTIFY else best_probabilities(a, b)
        parts[judged] = best * (a.size / len(running))
    return parts


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
    return keyed_unit(salt, b"nearcast feed", epoch, session)


def is_held_out(salt: bytes, subject: bytes, share: float) -> bool:
    """Whether a subject belongs to that share of all which the bandit leaves alone, for as long as the salt.

    A larger share holds out everybody that a smaller one does. The placing is independent of that of
    sessions on feeds, even under the same salt.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share held out is {share}; it must lie in [0, 1]")
    return keyed_unit(salt, b"nearcast holdout", 0, subject) < share
