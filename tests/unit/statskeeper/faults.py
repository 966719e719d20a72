"""Stores and logs that fail when a test says so, around ones that work."""

from collections.abc import Callable, Sequence

from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch, FoldResult, LedgerRow
from nearcast_store.errors import DataRefusedError, LogUnavailableError, StoreUnavailableError
from nearcast_store.log.memory import MemoryEventLog
from nearcast_store.log.protocol import Record


class FaultyCountStore(MemoryCountStore):
    """Fails as many folds as told; `refuses` and `raises` name rows that can never be stored."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_before_commit = 0
        self.fails_after_commit = 0
        self.refuses: Callable[[LedgerRow], bool] = lambda row: False
        self.raises: Callable[[LedgerRow], Exception | None] = lambda row: None
        self.batches: list[Batch] = []

    async def fold(self, batch: Batch) -> FoldResult:
        if self.fails_before_commit:
            self.fails_before_commit -= 1
            raise StoreUnavailableError("Postgres does not answer")
        if any(self.refuses(row) for row in batch.rows):
            raise DataRefusedError("Postgres refuses this value")
        for error in filter(None, map(self.raises, batch.rows)):
            raise error
        result = await super().fold(batch)
        self.batches.append(batch)
        if self.fails_after_commit:
            self.fails_after_commit -= 1
            raise StoreUnavailableError("the connection was lost during COMMIT")
        return result

    @property
    def dead_reasons(self) -> list[str]:
        """Of every dead letter written."""
        return [letter.reason for batch in self.batches for letter in batch.dead]


class FaultyEventLog(MemoryEventLog):
    """Fails as many calls as told, and writes down what was acknowledged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.fails_acknowledging = 0
        self.fails_reading = 0
        self.acknowledged: list[str] = []
        self.reads = 0

    async def read(self, tenant_ids: Sequence[int], most: int, wait_s: float) -> list[Record]:
        self.reads += 1
        if self.fails_reading:
            self.fails_reading -= 1
            raise LogUnavailableError("the event log cannot be read")
        return await super().read(tenant_ids, most, 0)

    async def acknowledge(self, records: Sequence[Record]) -> None:
        if self.fails_acknowledging:
            self.fails_acknowledging -= 1
            raise LogUnavailableError("the event log cannot be read")
        await super().acknowledge(records)
        self.acknowledged += [record.entry_id for record in records]
