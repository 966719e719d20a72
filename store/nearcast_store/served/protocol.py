"""How often items stood in answers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class ServedKey(NamedTuple):
    """What is counted by; names mean what they do in the counts of events, `bucket` is the answer's hour."""

    tenant_id: int
    posting: int
    market: int
    bucket: int
    position_bucket: int
    feed: int
    explore: bool


class ServedStore(Protocol):
    """Sums of what gateways counted. Raises StoreUnavailableError."""

    async def add(self, counts: Mapping[ServedKey, int]) -> None:
        """Add to what is there; after a failure it may have been added or not."""
        ...

    async def served_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, int]:
        """How often each of these postings was served; one that never was may be left out."""
        ...

    async def served_at(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """The same by posting and position bucket, sorted."""
        ...
