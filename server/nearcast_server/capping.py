"""What pauses, because it was shown often enough within the hour: single items, and all of an owner's."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.capping import capped_until
from nearcast_config.caps import Caps
from nearcast_server.impressions import Lately

# How long it stands whose an item is, and which items somebody has who pauses: until then a new one is shown.
OWNERS_HOLD_S = 60.0
ITEMS_HOLD_S = 5.0
_ASKED_AT_ONCE = 5000
_SECONDS_PER_HOUR = 3600.0
_NOBODY, _UNKNOWN = 0, -1


class Owners(Protocol):
    """Whose items are whose. Raises StoreUnavailableError."""

    async def owners_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, str]:
        """The owner of each posting that has one."""
        ...

    async def items_of(self, tenant_id: int, owners: Sequence[str]) -> dict[int, str]:
        """Every posting of these owners that lives, with its owner."""
        ...


class Capped:
    """Postings in their order, each with the time until which it pauses; `by_item` of them for themselves."""

    def __init__(self, until: Mapping[int, float], by_item: int = 0) -> None:
        self._postings = np.array(sorted(until), np.int64)
        self._until: Floats = np.array([until[posting] for posting in self._postings.tolist()], np.float64)
        self._first_end = min(until.values(), default=0.0)
        self.by_item = by_item

    def __len__(self) -> int:
        return self._postings.size

    def at(self, now_s: float) -> Integers:
        """Those that pause then, also long after this was made."""
        if not self._postings.size or now_s < self._first_end:
            return self._postings
        return self._postings[self._until > now_s]


NOTHING_CAPPED = Capped({})


class Capper:
    """Works out what pauses for one tenant; without owners nothing is capped by them."""

    def __init__(self, tenant_id: int, owners: Owners | None) -> None:
        self._tenant_id = tenant_id
        self._owners = owners
        self._who = _Who()
        self._items: _Items = _Items()

    async def capped(self, caps: Caps, lately: Lately) -> Capped:
        """By these counts. Raises StoreUnavailableError."""
        until = dict[int, float]()
        if caps.item_per_hour:
            rows, ends = _over(lately.before, lately.current, caps.item_per_hour, lately.now_s)
            until = {lately.postings[row]: end for row, end in zip(rows.tolist(), ends.tolist(), strict=True)}
        by_item = len(until)
        if caps.owner_per_hour and self._owners is not None:
            for posting, end in (await self._by_owner(self._owners, caps.owner_per_hour, lately)).items():
                until[posting] = max(end, until.get(posting, end))
        return Capped(until, by_item) if until else NOTHING_CAPPED

    async def _by_owner(self, owners: Owners, cap: int, lately: Lately) -> Mapping[int, float]:
        """Everything of the owners who are over the cap, and until when."""
        rows = np.flatnonzero((lately.before > 0) | (lately.current > 0))
        numbers = await self._who.numbers(owners, self._tenant_id, lately, rows)
        before, current = (
            np.bincount(numbers, each[rows], len(self._who.names)).astype(np.int64)
            for each in (lately.before, lately.current)
        )
        before[_NOBODY] = current[_NOBODY] = 0
        found, ends = _over(before, current, cap, lately.now_s)
        names = [self._who.names[number] for number in found.tolist()]
        until = dict(zip(names, ends.tolist(), strict=True))
        items = await self._items.of(owners, self._tenant_id, frozenset(until), lately.now_s)
        return {posting: until[owner] for posting, owner in items.items()}


class _Who:
    """Owners by number, of the rows that were asked for."""

    def __init__(self) -> None:
        self._forget(0.0, ())

    def _forget(self, now_s: float, postings: Sequence[int]) -> None:
        # Rows are numbers of this very list; after everything was read anew there is another.
        self._postings = postings
        self.names = [""]
        self._numbers = {"": _NOBODY}
        self._of_rows = np.empty(0, np.int64)
        self._read_at = now_s

    async def numbers(self, owners: Owners, tenant_id: int, lately: Lately, rows: Integers) -> Integers:
        """The owner of each row; those not known yet are asked for, a part at a time."""
        is_old = not 0 <= lately.now_s - self._read_at < OWNERS_HOLD_S
        if is_old or lately.postings is not self._postings:
            self._forget(lately.now_s, lately.postings)
        missing = max(len(lately.postings) - self._of_rows.size, 0)
        self._of_rows = np.append(self._of_rows, np.full(missing, _UNKNOWN))
        unknown = rows[self._of_rows[rows] == _UNKNOWN]
        for begin in range(0, unknown.size, _ASKED_AT_ONCE):
            part = unknown[begin : begin + _ASKED_AT_ONCE]
            postings = [lately.postings[row] for row in part.tolist()]
            known = await owners.owners_of(tenant_id, postings)
            self._of_rows[part] = [self._number(known.get(posting, "")) for posting in postings]
        return self._of_rows[rows]

    def _number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        return number


class _Items:
    """Whose all items are, of the owners that were asked for last."""

    def __init__(self) -> None:
        self._owners: frozenset[str] = frozenset()
        self._items: Mapping[int, str] = {}
        self._read_at = 0.0

    async def of(
        self, owners: Owners, tenant_id: int, names: frozenset[str], now_s: float
    ) -> Mapping[int, str]:
        """Every posting with its owner."""
        if names != self._owners or not 0 <= now_s - self._read_at < ITEMS_HOLD_S:
            self._items = await owners.items_of(tenant_id, sorted(names)) if names else {}
            self._owners, self._read_at = names, now_s
        return self._items


def _over(before: Integers, current: Integers, cap: int, now_s: float) -> tuple[Integers, Floats]:
    """Which are over the cap, and the time until which each pauses."""
    few = np.flatnonzero(before + current >= cap)
    hours = now_s / _SECONDS_PER_HOUR
    ends = capped_until(before[few].astype(np.float64), current[few].astype(np.float64), cap, hours)
    pauses = ends > hours
    return few[pauses], ends[pauses] * _SECONDS_PER_HOUR
