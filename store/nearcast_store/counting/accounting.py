"""What became of events, asked by what the log knows of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from nearcast_ledger.identity import Identity
from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_EVENTS = queries("events")
_LOG = queries("log")
_LETTERS = queries("letters")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Position(NamedTuple):
    """What the keepers did with one shard so far; what they folded twice they count twice, as duplicates."""

    tenant_id: int
    shard: int
    last_entry_id: str
    accepted: int
    counted: int
    duplicate: int
    dead: int


class Stored(NamedTuple):
    """A row of the ledger, and the entry that it came with."""

    implied: bool
    received_at_us: int
    gateway_id: str


class PostgresAccounts:
    """Raises StoreUnavailableError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def positions(self, tenant_ids: Sequence[int]) -> dict[tuple[int, int], Position]:
        """By tenant and shard; a shard that was never folded has none."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LOG["list_positions"], tenant_ids)
        return {(row["tenant_id"], row["shard"]): Position(*row) for row in rows}

    async def stored(self, identities: Collection[Identity]) -> Mapping[Identity, Stored]:
        """Those that the ledger holds."""
        if not identities:
            return {}
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EVENTS["list_stored_events"], *zip(*identities, strict=True))
        return {
            Identity(*row[:5]): Stored(row[5], _microseconds(row[6]), row[7])
            for row in (tuple(each) for each in rows)
        }

    async def letters(self, tenant_id: int, shard: int, entry_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Which events of these entries are dead letters, settled or not, by entry and index."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LETTERS["list_letters_of_entries"], tenant_id, shard, entry_ids)
        return {(row["entry_id"], row["event_index"]) for row in rows}


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
