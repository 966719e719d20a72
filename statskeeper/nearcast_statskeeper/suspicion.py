"""Whose fault it is that entries raise: theirs, or ours."""

from collections.abc import Sequence

from nearcast_statskeeper.folding import Raised
from nearcast_store.log.protocol import Record

# An entry that something else wrote stands alone; a fault of ours would bury a whole log, one by one.
MOST_IN_A_ROW = 3

_Entry = tuple[int, int, str]


class Suspicion:
    """Remembers the entries that raised the same one after another, over batches.

    With `buries_all` an operator has judged: they are theirs, however many.
    """

    def __init__(self, *, buries_all: bool = False) -> None:
        self._buries_all = buries_all
        self._kind: type[Exception] | None = None
        self._entries: set[_Entry] = set()

    def weigh(self, records: Sequence[Record], raised: Sequence[Raised]) -> None:
        """Note a batch before anything of it is buried; raises the exception that seems to be ours."""
        if self._buries_all:
            return
        errors = {_entry(each.origin.record): each.error for each in raised}
        for record in records:
            error = errors.get(_entry(record))
            if error is not None:
                self._add(record, error)
            elif record.entry is not None:
                self._entries.clear()

    def _add(self, record: Record, error: Exception) -> None:
        if type(error) is not self._kind:
            self._kind = type(error)
            self._entries.clear()
        self._entries.add(_entry(record))
        if len(self._entries) > MOST_IN_A_ROW:
            named = ", ".join(
                f"{shard}/{entry_id} of tenant {tenant}" for tenant, shard, entry_id in sorted(self._entries)
            )
            error.add_note(
                "One entry after another raises this: a fault of ours, so nothing is buried. In shard/entry"
                f" {named}. If no gateway wrote them: nearcast keeper --bury-unforeseen"
            )
            raise error


def _entry(record: Record) -> _Entry:
    return record.tenant_id, record.shard, record.entry_id
