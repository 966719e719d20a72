"""Fits: what items are believed to be like before they were seen, place by place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from nearcast_bandit.hierarchy import LevelPrior

Region = tuple[int | None, str | None]
"""A market and a category within it; without a category the whole market, without both everything."""

EVERYWHERE: Region = (None, None)


@dataclass(frozen=True, slots=True)
class PriorFit:
    """One fit, by kind of event and region; every kind in it has EVERYWHERE.

    `basis` is equal as long as the settings that it rests on are.
    """

    tenant_id: int
    number: int
    basis: bytes
    fitted_at: float
    priors: Mapping[int, Mapping[Region, LevelPrior]]


class PriorStore(Protocol):
    """Numbered fits, of which the last is in force. Raises StoreUnavailableError."""

    async def latest(self, tenant_id: int) -> PriorFit | None:
        """The fit with the highest number; None before the first."""
        ...

    async def publish(self, fit: PriorFit) -> None:
        """All of it at once; the number must be new."""
        ...
