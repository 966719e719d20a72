"""Writers that do one thing in the wrong order, to see that the torture finds it."""

from collections.abc import Sequence
from typing import Any

from nearcast_replica import filling, merging
from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.growing import GrowingGeneration, Words
from nearcast_replica.layout import DEAD, STATE_ROWS, STATE_SLOTS, Segment


class PublishesFirst(GrowingGeneration):
    """Says that records are there before it writes them."""

    def _fill(self, batch: Segment, cold_begin: int) -> None:
        before, state = self._ends(), self.segment["state"]
        state[STATE_SLOTS], state[STATE_ROWS] = before.slots + batch.slots, before.rows + batch.rows
        self._ends = lambda: before  # type: ignore[method-assign]
        super()._fill(batch, cold_begin)
        del self._ends
        state[STATE_SLOTS], state[STATE_ROWS] = before.slots, before.rows


class KillsFirst(GrowingGeneration):
    """Ends what is replaced before what replaces it is there."""

    def apply(self, changes: Sequence[SegmentChange]) -> Applied | Unfit:
        for change in changes:
            slot = self._living_slot(change.posting)
            if slot is not None:
                self.segment["expires"][slot] = DEAD
        return super().apply(changes)


class TearsStatistics(GrowingGeneration):
    """Stores the halves of a word one after the other."""

    def put_statistics(self, told: Words) -> None:
        halves = self.segment["stats"][0].view("<u4")
        for posting, word in zip(told.postings.tolist(), told.words.tolist(), strict=True):
            slot = self._living_slot(posting)
            if slot is not None:
                halves[2 * slot] = word & 0xFFFF_FFFF
                halves[2 * slot + 1] = word >> 32


_BUGS: dict[str, Any] = {
    "publishes_first": PublishesFirst,
    "kills_first": KillsFirst,
    "tears_statistics": TearsStatistics,
}


def plant(bug: str) -> None:
    """From here on the writers of this process have it."""
    for module in (filling, merging):
        vars(module)["GrowingGeneration"] = _BUGS[bug]
