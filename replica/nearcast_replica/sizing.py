"""How much room a new generation gets for what comes after it."""

from dataclasses import dataclass

import numpy as np

from nearcast_catalogue.checking import MAX_PLACES, MAX_TAGS
from nearcast_replica.columns import Spare
from nearcast_replica.layout import COLUMNS, Scope

_FEWEST_SLOTS = 4096
_COLD_BYTES = 64 << 20
_BYTES_PER_MESSAGE = 4096
# However small a tenant is, so many items with all they may have find room.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Reserve:
    """As many items may come as there are, at most `slots`, before the next generation must be there."""

    slots: int = 131_072
    shortest_tail: int = 8_192
    merge_after_s: float = 600.0
    spare_names_bytes: int = 256 << 10

    def longest_tail(self, sorted_rows: int) -> int:
        """Every request looks at all of the tail, 2 ns a row; a merge passes over everything."""
        return min(self.shortest_tail + sorted_rows // 512, self._room(sorted_rows) // 2)

    def spare(self, items: int, places: int, tags: int, outlines: int) -> Spare:
        """Room in proportion to what items have now; of their outlines the words are counted."""
        slots, per_item = self._room(items), 2.0 / max(items, 1)
        return Spare(
            slots=slots,
            rows=max(int(slots * places * per_item), _AT_ONCE * MAX_PLACES),
            tags=max(int(slots * (tags + items) * per_item), _AT_ONCE * (1 + MAX_TAGS)),
            places=max(int(slots * (places + outlines) * per_item), _AT_ONCE * (1 + 2 * MAX_PLACES)),
        )

    def names_bytes(self, used: int) -> int:
        """As much again as there is, and some."""
        return 2 * used + self.spare_names_bytes

    def cold_bytes(self, used: int) -> int:
        """It takes no room until it is written."""
        return used + _COLD_BYTES + self.slots * _BYTES_PER_MESSAGE

    def bytes_of(self, items: int, kinds: int) -> int:
        """About how much memory so many items of one place take, with the room for what comes after them."""
        return (items + self._room(items)) * bytes_per_item(kinds)

    def _room(self, items: int) -> int:
        return min(self.slots, max(items, _FEWEST_SLOTS))


def bytes_per_item(kinds: int) -> int:
    """About how much memory an item of one place takes, the room for what comes after it apart."""
    widths = dict.fromkeys(Scope, 0)
    for column in COLUMNS:
        widths[column.scope] += np.dtype(column.dtype).itemsize
    tables = 2 * (widths[Scope.ID_TABLE] + widths[Scope.POSTING_TABLE])
    return widths[Scope.ROW] + widths[Scope.SLOT] + kinds * widths[Scope.STAT] + tables
