"""Folding a batch that Postgres refuses: everything sound is counted, what is not is found and put aside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import asyncpg

from nearcast_statskeeper.faults import DeadReason, Fault
from nearcast_statskeeper.folding import Plan, Raised, dead_event
from nearcast_statskeeper.suspicion import Suspicion
from nearcast_store.counting.protocol import Batch, DeadLetter, Hold, Ledger, LedgerRow
from nearcast_store.errors import DataRefusedError, StoreError
from nearcast_store.log.protocol import Record

# Of the house: they come whatever the event is, and so bury none.
HOUSE_FAULTS = (StoreError, OSError, MemoryError, asyncpg.PostgresError)


@dataclass(frozen=True, slots=True)
class Sifted:
    """How many reported events a fold counted, the dead letters it wrote, and which of them had raised."""

    counted: int
    dead: Sequence[DeadLetter]
    raised: Sequence[Raised] = ()


async def fold_sifted(counts: Ledger, plan: Plan, records: Sequence[Record], suspicion: Suspicion) -> Sifted:
    """Fold in halves until each row that is refused or raises stands alone; its event becomes a dead letter.

    That takes several transactions, which is safe because folding repeats and commutes: progress moves in
    the last one, and an end before it only means that all is done again. What raises is raised again, and
    nothing is buried, once it seems to be a fault of ours.
    """
    sieve = _Sieve(counts, plan.batch.holds)
    await sieve.fold(plan.batch.rows)
    letters = {
        (each.tenant_id, each.shard, each.entry_id, each.event_index): each for each in plan.batch.dead
    }
    origins = plan.origins() if sieve.refused or sieve.raised else {}
    refused = [
        dead_event(origins[row.identity], Fault(DeadReason.STORE_REFUSED, why)) for row, why in sieve.refused
    ]
    raised = [Raised(origins[row.identity], error) for row, error in sieve.raised]
    for letter in (*refused, *(each.letter() for each in raised)):
        letters[letter.tenant_id, letter.shard, letter.entry_id, letter.event_index] = letter
    raised += plan.raised
    suspicion.weigh(records, raised)
    dead = list(letters.values())
    await counts.fold(replace(plan.batch, rows=(), dead=dead))
    return Sifted(sieve.counted, dead, raised)


class _Sieve:
    def __init__(self, counts: Ledger, holds: Sequence[Hold]) -> None:
        self._counts = counts
        self._holds = holds
        self.counted = 0
        self.refused: list[tuple[LedgerRow, str]] = []
        self.raised: list[tuple[LedgerRow, Exception]] = []

    async def fold(self, rows: Sequence[LedgerRow]) -> None:
        if not rows:
            return
        try:
            result = await self._counts.fold(Batch(rows, holds=self._holds))
        except HOUSE_FAULTS as error:
            if not isinstance(error, DataRefusedError):
                raise
            if len(rows) == 1:
                self.refused.append((rows[0], str(error)))
        except Exception as error:  # noqa: BLE001 - one event must not end the counting of all others
            if len(rows) == 1:
                self.raised.append((rows[0], error))
        else:
            self.counted += result.counted
            return
        if len(rows) > 1:
            middle = len(rows) // 2
            await self.fold(rows[:middle])
            await self.fold(rows[middle:])
