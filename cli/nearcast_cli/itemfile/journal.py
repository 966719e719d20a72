"""What became of the lines so far: counted, refused ones written down, and where to go on."""

from collections.abc import Sequence

from nearcast.v1.catalog_pb2 import UpsertItemsResponse
from nearcast_cli.itemfile.batching import Batch, Span
from nearcast_cli.itemfile.checkpoint import Checkpoint, Counted, Progress
from nearcast_cli.itemfile.rejects import Rejects
from nearcast_cli.rows import BadRow

MOST_REMEMBERED = 1000


class Journal:
    """Batches are settled in any order; `mark` is where all before it are."""

    def __init__(self, begun: Progress, rejects: Rejects, checkpoint: Checkpoint | None = None) -> None:
        self._purpose = begun.purpose
        self._rejects = rejects
        self._checkpoint = checkpoint
        self._spans: Sequence[Span] = begun.beyond
        self._waiting: dict[int, Batch] = {}
        self.mark = begun.mark
        self.counted = begun.counted
        self.pruned = 0
        self.refused: list[BadRow] = []

    def settle(self, batch: Batch, answer: UpsertItemsResponse | None) -> None:
        """The server has answered a batch, or was not asked."""
        refused = list(batch.refused)
        created = 0
        for row, result in zip(batch.rows, answer.results, strict=True) if answer is not None else ():
            if result.outcome.code == 0:
                created += result.created
            else:
                refused.append(row.refused(result.outcome))
        refused.sort(key=lambda row: row.line)
        self._count(batch, created, refused)
        length = self._rejects.add(refused)
        self._advance(batch)
        if self._checkpoint is not None:
            beyond = [*self._spans, *(each.lines for each in self._waiting.values())]
            self._checkpoint.write(Progress(self._purpose, self.mark, beyond, self.counted, length))

    def finish(self) -> None:
        """There is nothing to go on with."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def how_to_go_on(self) -> str:
        """Advice for whoever was interrupted."""
        if self._checkpoint is not None:
            return "Give the same command again: it goes on from there."
        return "Import the same file again: what is there already is written once more, without harm."

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        counted = self.counted
        return {
            "imported": counted.written,
            "created": counted.created,
            "pruned": self.pruned,
            "refusedCount": counted.refused,
            "refused": [row.as_dict() for row in self.refused],
        }

    def _count(self, batch: Batch, created: int, refused: Sequence[BadRow]) -> None:
        now = self.counted
        sent_back = len(refused) - len(batch.refused)
        self.counted = Counted(
            now.written + len(batch.rows) - sent_back, now.created + created, now.refused + len(refused)
        )
        if refused and len(self.refused) < MOST_REMEMBERED:
            remembered = sorted([*self.refused, *refused], key=lambda row: row.line)
            self.refused = remembered[:MOST_REMEMBERED]

    def _advance(self, batch: Batch) -> None:
        self._waiting[batch.after.line] = batch
        while self.mark.line in self._waiting:
            self.mark = self._waiting.pop(self.mark.line).end
        self._spans = [span for span in self._spans if span[1] > self.mark.line]
