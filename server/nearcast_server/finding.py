"""Who is near, may be shown and comes first: the question behind every decision, and what answers it."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec
import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.factors import Factors
from nearcast_bandit.record import Pool
from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point
from nearcast_server.arranging import Arrangement, Plan
from nearcast_server.evidence import Beliefs
from nearcast_server.gathering import Reach
from nearcast_server.tenancy import View

# What is worse than it should be with where candidates came from: a replica is there and not fit for use, so
# the index was asked; or the index does not answer either, so the replica was asked as it is.
Shortfall = Literal["CANDIDATES_FROM_REDIS", "REPLICA_STALE"]

_SAME_M = 1e-6
NOBODY: Integers = np.empty(0, np.int64)
_NOBODY: frozenset[int] = frozenset()


class ByFeed(msgspec.Struct, frozen=True):
    """By the scores of a feed; `by_mean`: what it would draw is the posterior's mean instead."""

    feed: str
    seed: int
    by_mean: bool = False


@dataclass(frozen=True, slots=True)
class Shuffled:
    """The best by posterior mean, so many, shuffled uniformly."""

    pool: int
    seed: int


@dataclass(frozen=True, slots=True)
class Listed:
    """By distance, equal distances by item id; what is not beyond `after` is left out."""

    after: tuple[float, str] = (-1.0, "")

    def begin(self, distances: Sequence[float] | Floats, id_of: Callable[[int], str]) -> int:
        """Where the page begins among items in this order.

        Whoever measured the last page may have rounded the last digit otherwise, so the item itself is looked
        for first.
        """
        last_m, last_id = self.after
        first = bisect_left(distances, last_m - _SAME_M)
        end = bisect_right(distances, last_m + _SAME_M)
        for index in range(first, end):
            if id_of(index) == last_id:
                return index + 1
        while first < end and (distances[first], id_of(first)) <= self.after:
            first += 1
        return first


Ranking = ByFeed | Shuffled | Listed


class Search(msgspec.Struct, frozen=True, eq=False):
    """One question; `left_out` are postings that count as not eligible, and so are `capped`, in their order.

    `captured` asks for the pool as well, which a feed or a shuffle chooses from and a list has none of.
    `plan` is for the places that these two give, `factors` for the scores.
    """

    view: View
    center: Point
    reach: Reach
    wanted: Filter
    ranking: Ranking
    limit: int
    now: float
    left_out: frozenset[int] = frozenset()
    captured: bool = False
    factors: Factors | None = None
    plan: Plan | None = None
    capped: Integers = msgspec.field(default_factory=lambda: NOBODY)

    @property
    def excluded(self) -> frozenset[int]:
        """All postings that count as not eligible."""
        return self.left_out.union(self.capped.tolist()) if self.capped.size else self.left_out


class Shown(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer. `display` is the item, or the bytes of the message that displays it."""

    posting: int
    item_id: str
    distance_m: float
    place: int
    market: int
    display: ServedItem | bytes


class Finding(msgspec.Struct, frozen=True, eq=False):
    """The best items with their postings and scores, best first, and all that they were chosen from.

    `eligible` counts also what did not fit the limit; `exhausted`: no wider look would follow. `beliefs`
    gives what the chosen were scored by, in their order. `age_s` is how far behind the index they may be.
    `pool` is None unless it was asked for, and then where it is too large or changed while it was read;
    `begun` gives the line of the prior that each of it began with, None where all began alike; `capped` is
    how many are missing in it because they pause. With a plan `scores` are as they were drawn,
    and `arrangement` says why they do not fall.
    """

    items: Sequence[Shown]
    postings: Sequence[int]
    scores: Sequence[float]
    eligible: int
    radius_used_m: float
    truncated: bool
    exhausted: bool
    beliefs: Callable[[], Beliefs]
    shortfall: Shortfall | None = None
    age_s: float = 0.0
    pool: Pool | None = None
    arrangement: Arrangement | None = None
    capped: int = 0
    begun: Callable[[], Integers | None] | None = None

    @property
    def pinned(self) -> frozenset[int]:
        """The postings that stand where the policy wants them."""
        return _NOBODY if self.arrangement is None else self.arrangement.layout.pinned

    @property
    def new(self) -> frozenset[int] | None:
        """The postings that counted as new; None where that did not matter."""
        return None if self.arrangement is None else self.arrangement.new

    def drawn_rank(self, posting: int) -> int:
        """Where it would stand without a plan, from 1; 0 where there is none, or it is not among the best."""
        return 0 if self.arrangement is None else self.arrangement.rank_of(posting)


class Finder(Protocol):
    """Answers from wherever candidates are kept. Raises IndexUnavailableError."""

    async def find(self, search: Search) -> Finding:
        """The best items for a question."""
        ...
