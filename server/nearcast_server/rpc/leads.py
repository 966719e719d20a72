"""How items begin in answers, kept ready for as long as the items stay the same."""

from collections.abc import Callable, Iterable

from nearcast_catalogue.item import ServedItem
from nearcast_server.finding import Shown
from nearcast_server.rpc.items import Mask, painted

Lead = Callable[[bytes, bytes], bytes]
# To make one takes half a microsecond more than to find it: only what is shown again and again is worth room.
MOST_BYTES = 4 << 20
# Of an entry beside its bytes: key, tuple and the place in the dictionary.
_ENTRY_BYTES = 300


class Leads:
    """At most `most_bytes` are kept; those made first are given up first."""

    def __init__(self, make: Lead, most_bytes: int = MOST_BYTES) -> None:
        self._make = make
        self._most_bytes = most_bytes
        self._kept: dict[tuple[int, Mask], tuple[ServedItem | bytes, bytes]] = {}
        self.kept_bytes = 0

    def of(self, shown: Iterable[Shown], mask: Mask) -> list[bytes]:
        """Of each its id, and its display with the fields of the mask."""
        leads, kept = [], self._kept
        for one in shown:
            found = kept.get((one.posting, mask))
            display = one.display
            # An item is never changed, only replaced; bytes may have been read anew.
            if found is not None and (found[0] is display or found[0] == display):
                leads.append(found[1])
            else:
                leads.append(self._made(one, mask))
        return leads

    def _made(self, one: Shown, mask: Mask) -> bytes:
        lead = self._make(one.item_id.encode(), painted(one.display, mask))
        self._keep((one.posting, mask), one.display, lead)
        return lead

    def _keep(self, key: tuple[int, Mask], display: ServedItem | bytes, lead: bytes) -> None:
        self._drop(key)
        self._kept[key] = (display, lead)
        self.kept_bytes += _weight(display, lead)
        while self.kept_bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[int, Mask]) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self.kept_bytes -= _weight(*dropped)


def _weight(display: ServedItem | bytes, lead: bytes) -> int:
    return len(lead) + _ENTRY_BYTES + (len(display) if isinstance(display, bytes) else 0)
