"""Folding a batch that Postgres refuses: everything sound is counted, what is not is found and put aside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nearcast_statskeeper.faults import DeadReason, Fault
from nearcast_statskeeper.folding import Plan, dead_event
from nearcast_store.counting.protocol import Batch, CountStore, DeadLetter, LedgerRow
from nearcast_store.errors import DataRefusedError


@dataclass(frozen=True, slots=True)
class Sifted:
    """How many reported events a fold counted, and the dead letters it wrote."""

    counted: int
    dead: Sequence[DeadLetter]


async def fold_sifted(counts: CountStore, plan: Plan) -> Sifted:
    """Fold the batch in halves until each row that is refused stands alone; its event becomes a dead letter.

    That takes several transactions, which is safe because folding repeats and commutes: progress moves in
    the last one, and an end before it only means that all is done again.
    """
    sieve = _Sieve(counts)
    await sieve.fold(plan.batch.rows)
    letters = {
        (each.tenant_id, each.shard, each.entry_id, each.event_index): each for each in plan.batch.dead
    }
    for row, why in sieve.refused:
        letter = dead_event(plan.origins[row.identity], Fault(DeadReason.STORE_REFUSED, why))
        letters[letter.tenant_id, letter.shard, letter.entry_id, letter.event_index] = letter
    dead = list(letters.values())
    await counts.fold(replace(plan.batch, rows=(), dead=dead))
    return Sifted(sieve.counted, dead)


class _Sieve:
    def __init__(self, counts: CountStore) -> None:
        self._counts = counts
        self.counted = 0
        self.refused: list[tuple[LedgerRow, str]] = []

    async def fold(self, rows: Sequence[LedgerRow]) -> None:
        if not rows:
            return
        try:
            result = await self._counts.fold(Batch(rows))
        except DataRefusedError as error:
            if len(rows) == 1:
                self.refused.append((rows[0], str(error)))
                return
            middle = len(rows) // 2
            await self.fold(rows[:middle])
            await self.fold(rows[middle:])
        else:
            self.counted += result.counted
