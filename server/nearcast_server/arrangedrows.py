"""The places of a page from a replica: what competes lies in its columns, and is read where it is needed."""

from collections.abc import Callable, Sequence
from dataclasses import replace as dataclass_replace

import numpy as np
from msgspec.structs import replace

from nearcast_bandit.arrays import Booleans
from nearcast_bandit.record import Pool
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer
from nearcast_replica.layout import DEAD
from nearcast_replica.lookup import postings_of_ids, slots_of_postings
from nearcast_replica.query import Found, Integers, Mode, Query
from nearcast_replica.reading import Pinned
from nearcast_server.arranging import Arrangement, Plan, Traits, arrange
from nearcast_server.owners import Owners

Ask = Callable[[Query], tuple[Found, Pool | None]]
_COLUMNS = ("slots", "postings", "distances_m", "places", "scores")


class ArrangedRows:
    """One page; `ask` is how the question is put."""

    def __init__(
        self, pinned: Pinned, answerer: Answerer, owners: Owners, plan: Plan, query: Query, ask: Ask
    ) -> None:
        self._pinned = pinned
        self._answerer = answerer
        self._owners = owners
        self._plan = plan
        self._query = query
        self._ask = ask
        self._found: Found | None = None
        self._apart: Found | None = None
        self._pool: Pool | None = None

    def page(self) -> tuple[Found, Pool | None, Arrangement]:
        """What stands on it, what it was chosen from if that was asked for, and how it came to be."""
        shown, arrangement = arrange(self, self._plan, self._query.limit)
        found, pool = self._found, self._pool
        assert found is not None
        if self._apart is not None:
            found = _joined(self._apart, found)
        row_of = {posting: row for row, posting in reversed(list(enumerate(found.postings.tolist())))}
        rows = np.array([row_of[posting] for posting in shown], np.int64)
        return _only(found, rows), None if pool is None else self._told(pool, arrangement), arrangement

    def _told(self, pool: Pool, arrangement: Arrangement) -> Pool | None:
        """With what the rules went by; None where a pin has ceased to compete meanwhile."""
        if not np.isin(list(arrangement.layout.pinned), pool.postings).all():
            return None
        if not self._plan.diversity.is_on:
            return pool
        slots = slots_of_postings(self._pinned.segment, pool.postings)
        return arrangement.numbers.told(pool, self._traits(slots))

    def best(self, count: int) -> Sequence[Traits]:
        """The best, at most so many; of both sides where there are two."""
        found, self._pool = self._ask(replace(self._query, limit=count))
        if not self._query.new_until:
            self._found = found
            return self._traits(found.slots)
        ranked = np.lexsort((found.postings, -found.scores))
        self._found = _only(found, ranked)
        return self._traits(self._found.slots, ranked < found.newcomers)

    def eligible(self, item_ids: Sequence[str]) -> Sequence[Traits | None]:
        """Each where it was among those that the last answer was chosen from; they are asked for apart."""
        assert self._found is not None
        segment = self._pinned.segment
        lives = [postings_of_ids(segment, (item_id,)) for item_id in item_ids]
        competing = segment["posting"][self._answerer.competitors()]
        wanted = np.isin(competing, [posting for each in lives for posting in each])
        if not wanted.any():
            return [None] * len(item_ids)
        count, order = int(wanted.sum()), self._query.order
        if order.mode is Mode.EXPLORE and order.pool < count:
            order = dataclass_replace(order, pool=count)
        alone = replace(
            self._query,
            radii_m=(self._found.radius_used_m,),
            order=order,
            limit=count,
            left_out=np.concatenate((self._query.left_out, competing[~wanted])),
        )
        self._apart = self._answerer.answer(segment, self._pinned.dictionaries, alone)
        by_posting = {traits.posting: traits for traits in self._traits(self._apart.slots)}
        return [next((by_posting[each] for each in lived if each in by_posting), None) for lived in lives]

    def known(self, postings: Sequence[int]) -> Sequence[Traits]:
        """Those that are alive."""
        if not postings:
            return ()
        segment = self._pinned.segment
        slots = slots_of_postings(segment, np.array(postings, np.int64))
        slots = slots[slots >= 0]
        return self._traits(slots[segment["expires"][slots] != DEAD])

    def _traits(self, slots: Integers, is_new: Booleans | None = None) -> list[Traits]:
        """Owners take long to read, and are where they are needed."""
        segment, until = self._pinned.segment, self._query.new_until
        if is_new is None and until:
            impressions = segment["stats"][segment.shape.kinds.index(IMPRESSION)][slots]
            is_new = impressions < np.uint64(until)
        postings, categories = segment["posting"][slots].tolist(), self._pinned.categories(slots)
        by_owner = self._plan.diversity.by_owner
        owners = self._owners.of(segment, slots) if by_owner else [""] * len(postings)
        news = [False] * len(postings) if is_new is None else is_new.tolist()
        return list(map(Traits, postings, owners, categories, news))


def _joined(one: Found, other: Found) -> Found:
    """What was answered is that of the other."""
    return replace(
        other, **{name: np.concatenate((getattr(one, name), getattr(other, name))) for name in _COLUMNS}
    )


def _only(found: Found, rows: Integers) -> Found:
    return replace(found, **{name: getattr(found, name)[rows] for name in _COLUMNS})
