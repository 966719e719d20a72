"""What people have seen, in memory, for simulations and tests."""

from collections.abc import Sequence

from nearcast_store.seen.protocol import Sightings


class MemorySeenStore:
    """See SeenStore."""

    def __init__(self) -> None:
        self._shown: dict[tuple[int, bytes], dict[int, int]] = {}

    async def add(self, sightings: Sequence[Sightings]) -> None:
        """Trims what it adds to."""
        for one in sightings:
            key = (one.tenant_id, one.subject_hash)
            shown = self._shown.get(key, {})
            for posting, shown_ms in one.shown_ms.items():
                shown[posting] = max(shown_ms, shown.get(posting, shown_ms))
            kept = [(ms, posting) for posting, ms in shown.items() if ms >= one.since_ms]
            self._shown[key] = {posting: ms for ms, posting in sorted(kept)[-one.most :]}

    async def seen_since(
        self, tenant_id: int, subject_hashes: Sequence[bytes], since_ms: int, most: int
    ) -> frozenset[int]:
        """Looks at all that is kept."""
        found: set[int] = set()
        for subject_hash in subject_hashes:
            shown = self._shown.get((tenant_id, subject_hash), {})
            last = sorted((ms, posting) for posting, ms in shown.items() if ms >= since_ms)[-most:]
            found.update(posting for _, posting in last)
        return frozenset(found)
