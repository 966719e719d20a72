"""Who is near and may be shown now: the index, then eligibility, then a wider circle while too few."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point
from nearcast_geo.widening import widen
from nearcast_store.index.protocol import GeoIndex, Hit


@dataclass(frozen=True, slots=True)
class Gathered:
    """Eligible items, nearest first, and how far was looked."""

    hits: Sequence[Hit]
    radius_used_m: float
    truncated: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to look: first `radius_m`, then the ladder, while fewer than `enough` items are eligible."""

    radius_m: float
    max_radius_m: float
    factors: Iterable[float]
    enough: int
    most: int


async def gather(
    index: GeoIndex, tenant_id: int, center: Point, reach: Reach, eligible: Callable[[ServedItem], bool]
) -> Gathered:
    """Search until enough items are eligible or the ladder ends; equal to one search at the final radius."""
    gathered = Gathered((), reach.radius_m, truncated=False)
    for radius_m in widen(reach.radius_m, reach.max_radius_m, reach.factors):
        found = await index.near(tenant_id, center, radius_m, reach.most)
        hits = [hit for hit in found.hits if eligible(hit.served)]
        gathered = Gathered(hits, radius_m, found.truncated)
        # Beyond the cap a wider circle only finds farther items to leave out.
        if len(hits) >= reach.enough or found.truncated:
            break
    return gathered
