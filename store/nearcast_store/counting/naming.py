"""The names of what the ledger numbers: items of postings, slugs of kinds, feeds and scenarios."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from nearcast_store.counting.recounting import Difference
from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_POSTINGS = queries("postings")
_POLICIES = queries("policies")

Names = Mapping[tuple[int, str, int], str]
"""By tenant, the name of the field and its number."""


async def read_names(pool: Pool, differences: Iterable[Difference]) -> Names:
    """Of every number in the keys of these that has a name. Raises StoreUnavailableError."""
    postings: defaultdict[int, set[int]] = defaultdict(set)
    for each in differences:
        postings[each.tenant_id] |= {each.key["posting"]} if each.key.get("posting") else set()
    names: dict[tuple[int, str, int], str] = {}
    async with pool.connection() as connection:
        for tenant_id, wanted in postings.items():
            for row in await connection.fetch(_POLICIES["list_slugs"], tenant_id):
                names[tenant_id, row["realm"], row["number"]] = row["slug"]
            for row in await connection.fetch(_POSTINGS["name_postings"], tenant_id, sorted(wanted)):
                names[tenant_id, "posting", row["posting"]] = row["item_id"]
    return names


def names_in(difference: Difference, names: Names) -> dict[str, str]:
    """Those of one key, by field: the item id of a posting, the slug of a kind."""
    key: Mapping[str, Any] = difference.key
    found = {name: names.get((difference.tenant_id, name, key[name])) for name in key}
    return {name: text for name, text in found.items() if text is not None}
