"""Curves: how much each position is looked at, as fitted, and why there is none yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nearcast_bandit.curvefitting import PlaceShare


@dataclass(frozen=True, slots=True)
class CurveFit:
    """One curve: a share for every position from 1 on, and the positions (as counted) that it rests on."""

    tenant_id: int
    number: int
    fitted_at: float
    shares: tuple[float, ...]
    places: Sequence[PlaceShare]


@dataclass(frozen=True, slots=True)
class Look:
    """The keeper's last look at the exploration share; without a curve `reason` says what it lacked.

    `basis` is equal as long as the settings that a fit rests on are.
    """

    tenant_id: int
    looked_at: float
    basis: bytes
    reason: str = ""


class CurveStore(Protocol):
    """Numbered curves, of which the last is in force. Raises StoreUnavailableError."""

    async def latest(self, tenant_id: int) -> CurveFit | None:
        """The curve with the highest number; None before the first."""
        ...

    async def look(self, tenant_id: int) -> Look | None:
        """The last look; None before the first."""
        ...

    async def publish(self, look: Look, fit: CurveFit | None) -> None:
        """Note a look, and with it all of a curve if there is a new one; its number must be new."""
        ...
