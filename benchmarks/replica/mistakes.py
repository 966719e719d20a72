"""Writers that get some changes wrong, to see that the comparison with Redis finds it."""

from collections.abc import Callable, Sequence

import msgspec

from nearcast_catalogue.item import Item, Place
from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.writing import SegmentWriter

# Of so many changes one goes wrong.
ONE_IN = 100
# Nobody was ever given it, so to take it out changes nothing.
_NOBODY = 1 << 40
Spoil = Callable[[Item], Item]


def _not_moved(item: Item) -> Item:
    """A little nearer to the equator, if not on it."""
    moved = (Place(0.99998 * each.latitude, each.longitude) for each in item.places)
    return msgspec.structs.replace(item, places=tuple(moved))


def _never_expires(item: Item) -> Item:
    return msgspec.structs.replace(item, expires_at=None)


def _without_a_tag(item: Item) -> Item:
    return msgspec.structs.replace(item, tags=item.tags[1:])


def _always_open(item: Item) -> Item:
    return msgspec.structs.replace(item, hours=None)


MISTAKES: dict[str, Spoil | None] = {
    "place not moved": _not_moved,
    "expiry ignored": _never_expires,
    "tag forgotten": _without_a_tag,
    "hours ignored": _always_open,
    "change lost": None,
}


def careless(mistake: str, one_in: int = ONE_IN) -> type[SegmentWriter]:
    """Writers that make this mistake, and say nothing."""
    spoil = MISTAKES[mistake]

    class CarelessWriter(SegmentWriter):
        def apply(self, changes: Sequence[SegmentChange]) -> Applied | Unfit:
            return super().apply(
                [change if change.sequence % one_in else _spoiled(change, spoil) for change in changes]
            )

    return CarelessWriter


def _spoiled(change: SegmentChange, spoil: Spoil | None) -> SegmentChange:
    if spoil is None:
        return change._replace(posting=_NOBODY, served=None)
    if change.served is None:
        return change
    return change._replace(served=msgspec.structs.replace(change.served, item=spoil(change.served.item)))
