"""Entries in batches, each as much as one call takes and no item twice."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from nearcast_cli.itemfile.lines import START, Lines, Mark
from nearcast_cli.rows import MOST_BATCH_BYTES, MOST_BATCH_ITEMS, BadRow, Row

MOST_BAD_ROWS = 1000
Span = tuple[int, int]


@dataclass(slots=True)
class Batch:
    """Entries that follow one another in the file, refused ones among them; `end` is where they end."""

    rows: list[Row] = field(default_factory=list)
    refused: list[BadRow] = field(default_factory=list)
    item_ids: set[str] = field(default_factory=set)
    size_bytes: int = 0
    after: Mark = START
    end: Mark = START

    @property
    def lines(self) -> Span:
        """The first and the last."""
        return self.after.line + 1, self.end.line

    def takes(self, row: Row | BadRow) -> bool:
        """Whether there is room for one more. Two versions of one item never share a call: it would refuse
        the second.
        """
        if isinstance(row, BadRow):
            return len(self.refused) < MOST_BAD_ROWS
        full = len(self.rows) == MOST_BATCH_ITEMS
        large = self.size_bytes + row.item.ByteSize() > MOST_BATCH_BYTES
        return not self.rows or not (full or large or row.item.item_id in self.item_ids)

    def add(self, row: Row | BadRow) -> None:
        if isinstance(row, BadRow):
            self.refused.append(row)
            return
        self.rows.append(row)
        self.item_ids.add(row.item.item_id)
        self.size_bytes += row.item.ByteSize()


def batches(entries: Iterable[Row | BadRow], lines: Lines, settled: Collection[Span] = ()) -> Iterator[Batch]:
    """All entries but those in spans of lines that were settled before."""
    batch, end = Batch(after=lines.mark()), lines.mark()
    for row in entries:
        if not any(first <= row.line <= last for first, last in settled):
            if not batch.takes(row):
                batch.end = end
                yield batch
                batch = Batch(after=end)
            batch.add(row)
        end = lines.mark()
    batch.end = lines.mark()
    if batch.rows or batch.refused or batch.end != batch.after:
        yield batch
