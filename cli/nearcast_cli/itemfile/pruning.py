"""Deletes what a file that names every item does not name."""

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from nearcast.v1.catalog_pb2 import DeleteItemsRequest, ListItemsRequest
from nearcast_cli.calling import Gateway
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.rows import BadRow, Row

PAGE_SIZE = 1000
MOST_DELETED_AT_ONCE = 500


class Named:
    """The ids that a file names, in eight bytes each: of two ids that share them both are spared."""

    def __init__(self, rows: Iterable[Row | BadRow]) -> None:
        """Raises CommandFailedError when a line does not tell which item it is."""
        keys, unread = array("Q"), 0
        for row in rows:
            item_id = row.item_id if isinstance(row, BadRow) else row.item.item_id
            keys.append(_key(item_id))
            unread += not item_id
        if unread:
            raise _unsafe(f"{unread} lines do not tell which items they are")
        self._keys: NDArray[np.uint64] = np.unique(np.frombuffer(keys, np.uint64))

    def __contains__(self, item_id: str) -> bool:
        key = np.uint64(_key(item_id))
        place = int(np.searchsorted(self._keys, key))
        return place < len(self._keys) and bool(self._keys[place] == key)


def prune(gateway: Gateway, named: Named, began_s: float, limit_percent: float) -> int:
    """Delete items that are not named and were last written before the import began; how many.

    Raises CommandFailedError, and deletes nothing, when that were more of all items than the limit.
    """
    missing: list[str] = []
    count = 0
    for item_id, updated_s in _listed(gateway):
        count += 1
        if item_id not in named and updated_s < began_s:
            missing.append(item_id)
    if len(missing) * 100 > limit_percent * count:
        raise _unsafe(
            f"{len(missing)} of {count} items are not in the file, more than {limit_percent:g} %",
            "Nothing was deleted. If they are really gone, give --prune-limit.",
        )
    for start in range(0, len(missing), MOST_DELETED_AT_ONCE):
        some = missing[start : start + MOST_DELETED_AT_ONCE]
        gateway.call(gateway.catalog.DeleteItems, DeleteItemsRequest(item_ids=some, allow_missing=True))
    return len(missing)


def _listed(gateway: Gateway) -> Iterator[tuple[str, float]]:
    request = ListItemsRequest(page_size=PAGE_SIZE)
    request.read_mask.paths.extend(("item_id", "updated_at"))
    while True:
        page = gateway.call(gateway.catalog.ListItems, request)
        for item in page.items:
            yield item.item_id, item.updated_at.seconds + item.updated_at.nanos / 1e9
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _key(item_id: str) -> int:
    return int.from_bytes(blake2b(item_id.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def changed() -> CommandFailedError:
    """The file is not the one that was imported."""
    return _unsafe("the file has changed since it was imported")


def _unsafe(why: str, advice: str = "The import itself is done; nothing was deleted.") -> CommandFailedError:
    return CommandFailedError(f"nothing is pruned: {why}", reason="PRUNE_UNSAFE", advice=advice)
