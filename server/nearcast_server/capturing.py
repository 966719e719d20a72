"""All that a decision from a replica was chosen from, as it was while it was chosen."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from nearcast_bandit.arrays import Booleans, Floats
from nearcast_bandit.record import Pool
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer
from nearcast_replica.columns import unpack_stats
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.layout import Segment
from nearcast_replica.query import UNIFORM_PRIOR, Found, Integers, Mode, Order, Query
from nearcast_server.priors import Priors

MOST_CAPTURED = 20_000
_TRIES = 3


class Capture:
    """A replica changes while it is read: a pool counts that is the same before and after the answer."""

    def __init__(
        self,
        answerer: Answerer,
        segment: Segment,
        dictionaries: Dictionaries,
        kinds: Sequence[int],
        priors: Priors | None = None,
    ) -> None:
        self._answerer = answerer
        self._segment = segment
        self._dictionaries = dictionaries
        self._kinds = tuple(kinds)
        self._priors = priors
        self._codes = np.empty(0, np.int64)

    def take(self, query: Query) -> tuple[Found, Pool | None]:
        """The answer, and its pool; None for one that is too large, or does not keep still."""
        for _ in range(_TRIES):
            _, before = self._ask(query)
            found, after = self._ask(query)
            if after is None or _is_same(before, after):
                return found, after
        return found, None

    def lines(self) -> Integers | None:
        """Of the pool last taken, the line of the prior that each began with; None where all began alike.

        It takes longer than to take it, so it is for a thread beside the requests.
        """
        if self._priors is None or not self._priors.named:
            return None
        different, which = np.unique(self._codes, return_inverse=True)
        markets, categories = self._dictionaries.markets.names, self._dictionaries.categories.names
        places = ((markets[code >> 32], categories[code & 0xFFFFFFFF]) for code in different.tolist())
        found: Integers = self._priors.lines_of(places)[which]
        return found

    def skip(self, query: Query) -> tuple[Found, Pool | None]:
        """The answer alone."""
        return self._answerer.answer(self._segment, self._dictionaries, query), None

    def _ask(self, query: Query) -> tuple[Found, Pool | None]:
        """Distances are those of a longer answer, as others may measure the last digit otherwise."""
        is_nearest = query.order.mode is Mode.NEAREST
        asked = replace(query, limit=min(query.most, MOST_CAPTURED)) if is_nearest else query
        segment = self._segment
        found = self._answerer.answer(segment, self._dictionaries, asked)
        pool = None
        if found.eligible <= MOST_CAPTURED:
            slots = found.slots if is_nearest else self._answerer.competitors()
            distances_m = found.distances_m if is_nearest else None
            born_at = segment["born_at"][slots].astype(np.float64)
            a, b = self._shapes(query.order, slots)
            factors = None if query.factors is None else self._answerer.factors()
            pool = Pool(
                segment["posting"][slots],
                distances_m,
                born_at,
                self._kinds,
                a,
                b,
                factors,
                is_new=self._is_new(query, slots),
            )
            if self._priors is not None and self._priors.named:
                self._codes = segment["market"][slots].astype(np.int64) << 32 | segment["category"][slots]
        return (_first(found, query.limit) if is_nearest else found), pool

    def _is_new(self, query: Query, slots: Integers) -> Booleans | None:
        if not query.parts_newcomers:
            return None
        impressions = self._segment["stats"][self._segment.shape.kinds.index(IMPRESSION)][slots]
        is_new: Booleans = impressions < np.uint64(query.new_until)
        return is_new

    def _shapes(self, order: Order, slots: Integers) -> tuple[Floats, Floats]:
        """A and B as the replica was told them, those of the prior where nothing was told."""
        segment = self._segment
        a = np.empty((len(self._kinds), slots.size))
        b = np.empty_like(a)
        for row, kind in enumerate(self._kinds):
            a[row], b[row] = order.priors.get(kind, UNIFORM_PRIOR)
            if kind in segment.shape.kinds:
                told_a, told_b = unpack_stats(segment["stats"][segment.shape.kinds.index(kind)][slots])
                is_told = (told_a != 0) | (told_b != 0)
                a[row], b[row] = np.where(is_told, told_a, a[row]), np.where(is_told, told_b, b[row])
        return a, b


def _first(found: Found, limit: int) -> Found:
    """So many, of both sides where there are two."""
    columns = ("slots", "postings", "distances_m", "places", "scores")
    new = found.newcomers
    first = np.r_[: min(limit, new), new : min(new + limit, found.slots.size)]
    kept = {name: getattr(found, name)[first] for name in columns}
    return replace(found, newcomers=min(limit, new), **kept)


def _is_same(one: Pool | None, other: Pool) -> bool:
    return one is not None and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("postings", "distances_m", "born_at", "a", "b", "factors", "is_new")
    )
