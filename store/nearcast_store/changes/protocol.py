"""What the index must hear of the catalogue, in an order that anyone can resume from."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nearcast_catalogue.item import ServedItem


@dataclass(frozen=True, slots=True)
class Change:
    """What the index must hold of a posting from this sequence on; None takes it out for good."""

    sequence: int
    posting: int
    served: ServedItem | None


class Refill(NamedTuple):
    """Every item that lives, in batches, as of one moment; changes after `sequence` bring it forward.

    Some of those changes may be in the items already: applying them again ends in the same state.
    """

    sequence: int
    batches: AsyncIterator[list[ServedItem]]


class ChangeFeed(Protocol):
    """Numbers what the catalogue committed, without gaps per tenant. Raises StoreUnavailableError."""

    async def sequence(self, most: int = 1000) -> int:
        """Number at most so many waiting changes of every tenant; how many were numbered."""
        ...

    async def after(self, tenant_id: int, sequence: int, most: int) -> list[Change]:
        """Numbered changes beyond `sequence`, in order."""
        ...

    async def last(self, tenant_id: int) -> int:
        """The highest number given so far, 0 at first."""
        ...

    async def oldest_kept(self, tenant_id: int) -> int:
        """The lowest number that `after` can still give; `last` + 1 when none is kept."""
        ...

    def refill(self, tenant_id: int) -> AbstractAsyncContextManager[Refill]:
        """Everything that lives, to build an index from nothing."""
        ...

    async def prune(self, before: float) -> int:
        """Forget changes numbered before that time (unix seconds); how many."""
        ...
