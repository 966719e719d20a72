"""The event log between gateways and keepers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nearcast_ledger.event import Durability, Entry
from nearcast_store.counting.protocol import Hold


@dataclass(frozen=True, slots=True)
class Record:
    """One entry as read; `entry` is None when the bytes are no entry, `fault` then says why."""

    tenant_id: int
    shard: int
    entry_id: str
    raw: bytes
    entry: Entry | None
    fault: str = ""
    deliveries: int = 1


class EventLog(Protocol):
    """The gateway's end."""

    async def append(self, entry: Entry) -> Durability:
        """Append all of it or nothing; what it has survived when this returns. Raises LogUnavailableError."""
        ...


class EventSource(Protocol):
    """The keeper's end. An entry is handed out until it is finished, and may be handed out twice.

    What is finished is known in one of two ways. Either the log keeps it: `acknowledge` tells it after the
    commit, and there are no `holds`. Or the fold's own transaction keeps it: the batch carries its progress
    and the `holds`, so that it commits only while the shards are this reader's, and reading begins after what
    was committed. A shard's records are finished in the order in which they were handed out.
    """

    async def read(self, tenant_ids: Sequence[int], most: int, wait_s: float) -> list[Record]:
        """New entries of these tenants, waiting for the first up to `wait_s`."""
        ...

    async def claim(self, tenant_ids: Sequence[int], most: int, idle_s: float) -> list[Record]:
        """Entries read and not acknowledged for so long; also one's own from before a restart.

        What was handed out ALONE_AFTER times comes alone, and after the others.
        """
        ...

    def holds(self, records: Sequence[Record], /) -> Sequence[Hold]:
        """What must still be held when these are folded."""
        ...

    async def acknowledge(self, records: Sequence[Record]) -> None:
        """These are folded and need not be handed out again."""
        ...

    async def give_back(self, records: Sequence[Record]) -> None:
        """These are not folded here: whoever's turn it is gets them again."""
        ...
