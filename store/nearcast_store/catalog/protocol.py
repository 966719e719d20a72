"""Where items are kept: the record, not the index."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nearcast_catalogue.item import Item, ServedItem


class Verdict(Enum):
    """What became of one write."""

    WRITTEN = "written"
    STALE = "stale"  # the stored version is higher
    ETAG_MISMATCH = "etag_mismatch"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as kept; `served.item` carries version and etag."""

    served: ServedItem
    updated_at: float


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one item of a call; version, etag and posting of the stored item, when there is one."""

    verdict: Verdict
    version: int = 0
    etag: str = ""
    posting: int = 0
    created: bool = False


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items in the order of their ids; `last_item_id` continues after them, None at the end."""

    items: Sequence[StoredItem]
    last_item_id: str | None


class CatalogStore(Protocol):
    """Writes items and, in the same transaction, what the index must hear of it."""

    async def upsert(self, tenant_id: int, items: Sequence[Item], now: float) -> list[WriteResult]:
        """Write each item by itself; ids are unique within the call. An ended id gets a new posting."""
        ...

    async def delete(self, tenant_id: int, item_ids: Sequence[str], now: float) -> list[WriteResult]:
        """End each item's life and keep a versioned tombstone."""
        ...

    async def get(self, tenant_id: int, item_id: str) -> StoredItem | None:
        """The item as last written; None when it never was or was deleted."""
        ...

    async def page(
        self, tenant_id: int, after_item_id: str, size: int, *, expired_too: bool, now: float
    ) -> ItemPage:
        """Items whose id is greater than `after_item_id`, in byte order."""
        ...

    async def sweep(self, now: float) -> int:
        """End the lives of expired items of every tenant; how many."""
        ...

    async def place_anew(self) -> int:
        """Place items by the borders of their tenants' markets as they are now, so many at a time.

        How many were looked at: 0 when every item is where it belongs.
        """
        ...

    async def names(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Item id and title of postings, also of ended ones."""
        ...

    async def regions(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[int, str]]:
        """Market and category of postings, also of ended ones; market 0 and category "" for none."""
        ...

    async def owners_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, str]:
        """The owner of each posting that has one, also of ended ones."""
        ...

    async def items_of(self, tenant_id: int, owners: Sequence[str]) -> dict[int, str]:
        """Every posting of these owners that lives, with its owner."""
        ...

    async def count_by_market(self, tenant_id: int) -> dict[int, int]:
        """How many items lie in each market, 0 for those in none; markets without any are left out."""
        ...

    async def current_postings(self, tenant_id: int, item_ids: Sequence[str]) -> dict[str, int]:
        """The posting of each item that is not deleted."""
        ...
