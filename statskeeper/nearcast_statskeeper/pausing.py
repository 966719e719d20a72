"""What was not shown lately because it had been shown often enough."""

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats
from nearcast_bandit.capping import capped_until
from nearcast_config.caps import Caps
from nearcast_statskeeper.priors import Seen
from nearcast_store.catalog.protocol import CatalogStore

_HOUR_S = 3600.0
_ASKED_AT_ONCE = 10_000


async def pausing(catalog: CatalogStore, tenant_id: int, caps: Caps, seen: Seen, now: float) -> Booleans:
    """Which of them pause at that time, for themselves or with all others of their owner."""
    found = np.zeros(seen.postings.size, np.bool)
    if caps.item_per_hour:
        found |= _is_over(seen.before, seen.current, caps.item_per_hour, now)
    if caps.owner_per_hour:
        owners = dict[int, str]()
        for start in range(0, seen.postings.size, _ASKED_AT_ONCE):
            some = seen.postings[start : start + _ASKED_AT_ONCE].tolist()
            owners |= await catalog.owners_of(tenant_id, some)
        names = [owners.get(posting, "") for posting in seen.postings.tolist()]
        different, which = np.unique(np.array(names, np.str_), return_inverse=True)
        before, current = (
            np.bincount(which, each, different.size).astype(np.float64)
            for each in (seen.before, seen.current)
        )
        is_over = _is_over(before, current, caps.owner_per_hour, now) & (different != "")
        found |= is_over[which]
    return found


def _is_over(before: Floats, current: Floats, cap: int, now: float) -> Booleans:
    over: Booleans = capped_until(before, current, cap, now / _HOUR_S) > now / _HOUR_S
    return over
