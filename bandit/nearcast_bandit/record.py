"""The record of one decision: what it was made from and what came of it, so that it can be made again.

Every score, order and feed is a pure function of what is in here. The secrets behind seed and units are not,
nor is the person.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

import numpy as np
from msgspec import Struct

from nearcast_bandit.arranging import NOBODY, Candidate, Layout
from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.reserving import Budget

Reason = Literal["explain", "explore", "share"]
OrderName = Literal["draw", "nearest", "newest", "most", "explore"]
Gap = Literal["", "cut", "changed"]
_PER_POSTING = ("distances_m", "born_at", "factors", "owners", "categories", "is_new", "lines", "faded")


class FeedChoice(Struct, frozen=True):
    """How the feed was picked: by `unit` among the shares, unless `explore_unit` is below `explore_share`.

    A page that goes on with a slate keeps its feed: `resumed`, then there are no shares. What is `frozen` has
    the `default_feed` for certain. Whether somebody is `held_out` follows from who it is, under
    `holdout_salt`, and is taken as it was: the number that tells it would tell the person.
    """

    shares: tuple[tuple[str, float], ...]
    unit: float
    explore_share: float
    explore_unit: float
    resumed: bool
    frozen: bool = False
    default_feed: str = ""
    held_out: bool = False
    holdout_share: float = 0.0
    holdout_salt: str = ""


class Ordering(Struct, frozen=True):
    """How candidates were ordered; `kinds` and `weights` are those that counted.

    By the `budget`, None where there is none, the page's slots are kept, which begin with the `first_slot`.
    """

    order: OrderName
    kinds: tuple[int, ...]
    weights: tuple[float, ...]
    sharpness: float
    pool_size: int
    seed: int
    limit: int
    budget: Budget | None = None
    first_slot: int = 1


class Outcome(Struct, frozen=True):
    """What was decided: the feed, and the postings with their scores, best first."""

    feed: str
    propensity: float
    explore: bool
    postings: tuple[int, ...]
    scores: tuple[float, ...]


class Circumstances(Struct, frozen=True):
    """Which decision it was, by which build, under which settings; `decided_at` in unix seconds.

    `eligible` is how many competed, `capped` how many more would have if they did not pause. `gap` says why
    they are not in the record: too many for it, or changing while they were read.
    """

    request_id: UUID
    tenant_id: int
    decided_at: float
    build: str
    reason: Reason
    policy_revision: int
    policy_epoch: int
    scenario: str
    market: int
    radius_used_m: float
    truncated: bool
    eligible: int
    gap: Gap = ""
    capped: int = 0
    segment: str = ""


class Beginning(Struct, frozen=True, array_like=True):
    """The prior of a kind at a place and where it came from, as `LevelPrior` says."""

    mean: float
    strength: float
    level: Level
    items: int
    exposure: float
    success: float
    own_share: float

    @classmethod
    def of(cls, prior: LevelPrior) -> "Beginning":
        """In single precision, which is exact enough and deflates better."""
        return cls(
            _single(prior.prior.mean),
            _single(prior.prior.strength),
            prior.level,
            prior.children,
            _single(prior.exposures),
            _single(prior.successes),
            _single(prior.own_share),
        )


class Beginnings(Struct, frozen=True):
    """What was believed beforehand: a line for each different place, and in it one prior for each kind of the
    pool. `fit` is the number of the fit they came from, 0 where nothing was learned.
    """

    fit: int
    lines: tuple[tuple[Beginning, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Everything that competed, by posting: A and B have a row for each of `kinds`.

    `distances_m` and `born_at` (unix seconds) are what the orders without a draw go by, None where they were
    not needed: who knows the items could tell from distances where somebody was. So are `owners` and
    `categories`, which are numbers within the record, 0 for none, and `is_new`. `factors` are what scores
    were multiplied with, None for nothing.
    """

    postings: Integers
    distances_m: Floats | None
    born_at: Floats | None
    kinds: tuple[int, ...]
    a: Floats
    b: Floats
    factors: Floats | None = None
    owners: Integers | None = None
    categories: Integers | None = None
    is_new: Booleans | None = None
    lines: Integers | None = None
    faded: Booleans | None = None

    def __post_init__(self) -> None:
        size, shape = self.postings.shape, (len(self.kinds), self.postings.size)
        for name in _PER_POSTING:
            column = getattr(self, name)
            if column is not None and column.shape != size:
                raise ValueError(f"{size[0]} postings need as many {name}, not of shape {column.shape}")
        if self.a.shape != shape or self.b.shape != shape:
            raise ValueError(
                f"A and B of {shape[0]} kinds must have shape {shape}, not {self.a.shape} and {self.b.shape}"
            )

    def only(self, chosen: Booleans | Integers) -> "Pool":
        """Some of it, in the order given."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in _PER_POSTING}
        kept: dict[str, Any] = {
            name: None if column is None else column[chosen] for name, column in columns.items()
        }
        return replace(self, postings=self.postings[chosen], a=self.a[:, chosen], b=self.b[:, chosen], **kept)

    @property
    def candidates(self) -> list[Candidate]:
        """As places are given to them."""
        nobody = [NOBODY] * self.postings.size
        owners = nobody if self.owners is None else self.owners.tolist()
        categories = nobody if self.categories is None else self.categories.tolist()
        is_new = [False] * self.postings.size if self.is_new is None else self.is_new.tolist()
        return list(map(Candidate, self.postings.tolist(), owners, categories, is_new))


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision. `excluded` are the postings that earlier pages of the slate had shown.

    `pool` is None where `circumstances.gap` says why. `layout` is None where items stand in the order
    of their scores. `beginnings` are for whoever reads it: nothing is decided by them.
    """

    circumstances: Circumstances
    choice: FeedChoice
    ordering: Ordering
    excluded: tuple[int, ...]
    outcome: Outcome
    pool: Pool | None
    layout: Layout | None = None
    beginnings: Beginnings | None = None


def _single(number: float) -> float:
    return float(np.float32(number))
