"""The event log in memory, of the kind whose readers commit their place in the fold's own transaction.

Each shard numbers its entries, has one reader at a time, and remembers nothing of what was folded.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nearcast_ledger.event import Durability, Entry
from nearcast_store.counting.protocol import Hold, Positions, Standing
from nearcast_store.log.protocol import Record
from nearcast_store.log.suspicion import ALONE_AFTER

Shard = tuple[int, int]
"""A tenant and the number of one of its shards."""


class ShardedMemoryLog:
    """The gateway's end, and what its readers share; `choose` picks one of so many shards."""

    def __init__(self, shards: int, choose: Callable[[int], int]) -> None:
        self._shards = shards
        self._choose = choose
        self.entries: defaultdict[Shard, list[Record]] = defaultdict(list)
        self.readers: dict[Shard, ShardReader] = {}
        self.newest: dict[str, ShardReader] = {}
        self.appended = 0
        self._arrived = asyncio.Condition()

    async def append(self, entry: Entry) -> Durability:
        """Keep the entry for good."""
        shard = (entry.tenant_id, self._choose(self._shards))
        entries = self.entries[shard]
        entries.append(Record(*shard, str(len(entries) + 1), b"", entry))
        async with self._arrived:
            self.appended += 1
            self._arrived.notify_all()
        return Durability.MEMORY

    async def more_than(self, seen: int) -> int:
        """Wait until more was appended than that; how much."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.appended > seen)
            return self.appended


@dataclass(slots=True)
class _Reading:
    """One shard in hand: entries up to `done` are folded, those up to `handed` handed out."""

    generation: int
    done: int
    handed: int
    deliveries: int
    since_s: float

    @property
    def most(self) -> float:
        """How many may be handed out now: what somebody may have died of comes alone."""
        if self.deliveries <= ALONE_AFTER:
            return float("inf")
        return 0 if self.handed > self.done else 1


class ShardReader:
    """One consumer. A newer one of its name takes its shards at once, any other when it is silent.

    `clock` gives seconds.
    """

    def __init__(
        self, log: ShardedMemoryLog, positions: Positions, name: str, clock: Callable[[], float]
    ) -> None:
        self._log = log
        self._positions = positions
        self._clock = clock
        self._in_hand: dict[Shard, _Reading] = {}
        self.name = name
        self.heard_s = clock()
        log.newest[name] = self

    async def read(self, tenant_ids: Sequence[int], most: int, wait_s: float) -> list[Record]:
        """New entries of these tenants, waiting for the first up to `wait_s`."""
        seen = self._log.appended
        while not (found := await self._read(tenant_ids, most)):
            try:
                async with asyncio.timeout(wait_s):
                    seen = await self._log.more_than(seen)
            except TimeoutError:
                return []
        return found

    async def claim(self, tenant_ids: Sequence[int], most: int, idle_s: float) -> list[Record]:
        """What was handed out and not finished for so long, by whomever; also what a predecessor left."""
        mine = self._own(tenant_ids, idle_s)
        now_s = self._clock()
        left = {
            shard
            for shard, reading in self._in_hand.items()
            if shard in mine and reading.handed > reading.done and now_s - reading.since_s >= idle_s
        }
        for shard in left:
            del self._in_hand[shard]
        begun = await self._standings(mine)
        left |= {shard for shard, standing in begun.items() if standing.takes and shard not in self._in_hand}
        return await self._hand_out([shard for shard in mine if shard in left], begun, most)

    def holds(self, records: Sequence[Record], /) -> Sequence[Hold]:
        """Of each shard, as it was when it was taken; one that is gone has none that would do."""
        shards = sorted({(record.tenant_id, record.shard) for record in records})
        return [Hold(*shard, self._generation(shard)) for shard in shards]

    async def acknowledge(self, records: Sequence[Record]) -> None:
        """These are folded, and their positions with them."""
        for record in records:
            reading = self._in_hand.get((record.tenant_id, record.shard))
            if reading is not None:
                reading.done = max(reading.done, int(record.entry_id))
                reading.deliveries = 1

    async def give_back(self, records: Sequence[Record]) -> None:
        """Whoever reads these shards next begins after what was committed."""
        for record in records:
            self._in_hand.pop((record.tenant_id, record.shard), None)

    def _generation(self, shard: Shard) -> int:
        reading = self._in_hand.get(shard)
        return reading.generation if reading is not None else 0

    async def _read(self, tenant_ids: Sequence[int], most: int) -> list[Record]:
        mine = self._own(tenant_ids, None)
        unread = [
            shard
            for shard in mine
            if shard not in self._in_hand or self._in_hand[shard].handed < len(self._log.entries[shard])
        ]
        return await self._hand_out(unread, await self._standings(unread), most)

    def _own(self, tenant_ids: Sequence[int], idle_s: float | None) -> list[Shard]:
        """The shards that are this reader's, with those that are nobody's or somebody's who is silent."""
        if self._log.newest[self.name] is not self:
            return []
        self.heard_s = self._clock()
        mine = []
        for shard in sorted(shard for shard in self._log.entries if shard[0] in tenant_ids):
            reader = self._log.readers.setdefault(shard, self)
            silent = idle_s is not None and self.heard_s - reader.heard_s >= idle_s
            if reader is not self and (reader.name == self.name or silent):
                self._log.readers[shard] = self
            if self._log.readers[shard] is self:
                mine.append(shard)
            else:
                self._in_hand.pop(shard, None)
        return mine

    async def _standings(self, shards: Sequence[Shard]) -> dict[Shard, Standing]:
        if all(shard in self._in_hand for shard in shards):
            return {}
        known = await self._positions.standings(sorted({tenant_id for tenant_id, _ in shards}))
        return {(standing.tenant_id, standing.shard): standing for standing in known}

    async def _hand_out(
        self, shards: Sequence[Shard], begun: dict[Shard, Standing], most: int
    ) -> list[Record]:
        """Of the shards above suspicion together; else of one, and that one entry."""
        takes = {
            shard: begun[shard].takes for shard in shards if shard in begun and shard not in self._in_hand
        }
        suspects = [shard for shard in shards if takes.get(shard, 0) >= ALONE_AFTER]
        found: list[Record] = []
        for shard in shards:
            if shard not in suspects and len(found) < most:
                found += await self._next_of(shard, begun.get(shard), most - len(found))
        for shard in sorted(suspects, key=lambda shard: takes[shard]):
            if not found:
                found = await self._next_of(shard, begun[shard], 1)
        return found

    async def _next_of(self, shard: Shard, begun: Standing | None, most: int) -> list[Record]:
        entries = self._log.entries[shard]
        reading = self._in_hand.get(shard)
        if reading is None:
            if begun is not None and int(begun.last_entry_id) >= len(entries):
                return []
            taken = await self._positions.take(*shard)
            done = int(taken.last_entry_id)
            reading = _Reading(taken.generation, done, done, taken.takes, self._clock())
            self._in_hand[shard] = reading
        until = reading.handed + int(min(most, reading.most, len(entries) - reading.handed))
        found = [replace(record, deliveries=reading.deliveries) for record in entries[reading.handed : until]]
        reading.handed, reading.since_s = until, self._clock()
        return found
