"""The event log in memory, both ends: for simulations and tests."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nearcast_ledger.event import Durability, Entry
from nearcast_store.counting.protocol import Hold
from nearcast_store.log.protocol import Record
from nearcast_store.log.suspicion import handed_out_together


@dataclass(slots=True)
class _HandedOut:
    record: Record
    since_s: float


class MemoryEventLog:
    """Remembers what was acknowledged, whoever reads; `clock` gives seconds.

    Entries are kept as they are, never as bytes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._new: list[Record] = []
        self._handed_out: dict[str, _HandedOut] = {}
        self._appended = 0
        self._arrived = asyncio.Event()

    async def append(self, entry: Entry) -> Durability:
        """Keep the entry for the reader."""
        self._appended += 1
        self._new.append(Record(entry.tenant_id, 0, f"{self._appended}-0", b"", entry))
        self._arrived.set()
        return Durability.MEMORY

    async def read(self, tenant_ids: Sequence[int], most: int, wait_s: float) -> list[Record]:
        """New entries of these tenants, waiting for the first up to `wait_s`."""
        found = self._take(tenant_ids, most)
        if found or wait_s <= 0:
            return found
        try:
            async with asyncio.timeout(wait_s):
                while not found:
                    self._arrived.clear()
                    await self._arrived.wait()
                    found = self._take(tenant_ids, most)
        except TimeoutError:
            return []
        return found

    async def claim(self, tenant_ids: Sequence[int], most: int, idle_s: float) -> list[Record]:
        """Entries read and not acknowledged for so long."""
        now_s = self._clock()
        idle = [
            held
            for held in self._handed_out.values()
            if held.record.tenant_id in tenant_ids and now_s - held.since_s >= idle_s
        ]
        idle = handed_out_together(idle, lambda held: held.record.deliveries)[:most]
        for held in idle:
            held.since_s = now_s
            held.record = replace(held.record, deliveries=held.record.deliveries + 1)
        return [held.record for held in idle]

    def holds(self, _records: Sequence[Record], /) -> Sequence[Hold]:
        """None: what is finished is known here."""
        return ()

    async def acknowledge(self, records: Sequence[Record]) -> None:
        """These are folded and need not be handed out again."""
        for record in records:
            self._handed_out.pop(record.entry_id, None)

    async def give_back(self, records: Sequence[Record]) -> None:
        """They stay handed out until they are claimed."""

    def _take(self, tenant_ids: Sequence[int], most: int) -> list[Record]:
        taken = [record for record in self._new if record.tenant_id in tenant_ids][:most]
        if taken:
            ids = {record.entry_id for record in taken}
            self._new = [record for record in self._new if record.entry_id not in ids]
            now_s = self._clock()
            self._handed_out.update({record.entry_id: _HandedOut(record, now_s) for record in taken})
        return taken
