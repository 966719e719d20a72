"""An index in memory that can be emptied, set back and moved by somebody else."""

from collections import defaultdict
from collections.abc import AsyncIterable, Sequence

from nearcast_catalogue.item import ServedItem
from nearcast_store.changes.protocol import Change
from nearcast_store.relay.applying import StaleRelayError


class MemoryIndexWriter:
    """Keeps the contract of an IndexWriter; `kept` maps tenant to posting to item."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[int, ServedItem]] = defaultdict(dict)
        self.positions: dict[int, int] = {}
        self.refills = 0
        self.trimmed: list[tuple[int, int]] = []
        self.moved_by_another = False

    async def position(self, tenant_id: int) -> int | None:
        return self.positions.get(tenant_id)

    async def apply(self, tenant_id: int, changes: Sequence[Change]) -> None:
        moved, self.moved_by_another = self.moved_by_another, False
        if moved or self.positions.get(tenant_id, 0) + 1 != changes[0].sequence:
            raise StaleRelayError(f"not at {changes[0].sequence - 1}")
        for change in changes:
            if change.served is None:
                self.kept[tenant_id].pop(change.posting, None)
            else:
                self.kept[tenant_id][change.posting] = change.served
        self.positions[tenant_id] = changes[-1].sequence

    async def refill(
        self, tenant_id: int, sequence: int, batches: AsyncIterable[Sequence[ServedItem]]
    ) -> None:
        moved, self.moved_by_another = self.moved_by_another, False
        if moved:
            raise StaleRelayError("moved during the refill")
        self.kept[tenant_id] = {served.posting: served async for batch in batches for served in batch}
        self.positions[tenant_id] = sequence
        self.refills += 1

    async def trim_changes(self, tenant_id: int, keep: int) -> None:
        self.trimmed.append((tenant_id, keep))

    def titles(self, tenant_id: int) -> set[str]:
        """What is shown."""
        return {served.item.title for served in self.kept[tenant_id].values()}
