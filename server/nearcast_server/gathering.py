"""Who is near and may be shown now: the index, then eligibility, then a wider circle while too few."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point
from nearcast_geo.widening import widen
from nearcast_store.index.protocol import GeoIndex, Hit


@dataclass(frozen=True, slots=True)
class Gathered:
    """Eligible items, nearest first, and how far was looked; `exhausted`: no wider look would follow."""

    hits: Sequence[Hit]
    radius_used_m: float
    truncated: bool
    exhausted: bool


class Reach(Struct, frozen=True):
    """How far to look: first `radius_m`, then the ladder, while fewer than `enough` items are eligible.

    A slate that goes on begins on the rung it had reached, `from_m`.
    """

    radius_m: float
    from_m: float
    max_radius_m: float
    factors: Iterable[float]
    enough: int
    most: int


async def gather(
    index: GeoIndex, tenant_id: int, center: Point, reach: Reach, eligible: Callable[[ServedItem], bool]
) -> Gathered:
    """Search until enough items are eligible or the ladder ends; equal to one search at the final radius."""
    ladder = widen(reach.radius_m, reach.max_radius_m, reach.factors)
    rungs = [radius_m for radius_m in ladder if radius_m >= reach.from_m] or [reach.from_m]
    for radius_m in rungs:
        found = await index.near(tenant_id, center, radius_m, reach.most)
        hits = [hit for hit in found.hits if eligible(hit.served)]
        # Beyond the cap a wider circle only finds farther items to leave out.
        exhausted = found.truncated or radius_m == rungs[-1]
        if len(hits) >= reach.enough or exhausted:
            break
    return Gathered(hits, radius_m, found.truncated, exhausted)
