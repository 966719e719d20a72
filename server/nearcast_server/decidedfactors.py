"""The rules by which the score of a logged candidate was multiplied, and the distance that they tell.

The record keeps the product. Boosts are told by the policy that decided and the item as it is stored, where
it has not changed since; what is left is the distance's, or nobody's.
"""

import math
from dataclasses import dataclass

from nearcast_bandit.factors import MOST_HALVINGS, Factors, Part, Subject
from nearcast_bandit.record import Pool
from nearcast_catalogue.item import ServedItem

SAME_FACTOR = 1e-6


@dataclass(frozen=True, slots=True)
class Multiplied:
    """The product and its parts; `distance_m` where a part or the order tells it.

    `unnamed` is what no rule is known for: the item has changed since, or the policy cannot be read.
    """

    factor: float = 1.0
    parts: tuple[Part, ...] = ()
    unnamed: float = 1.0
    distance_m: float | None = None


def multiplied(pool: Pool, row: int, factors: Factors | None, served: ServedItem | None) -> Multiplied:
    """`factors` are those of the surface, None where it is not known; so is `served` for a changed item."""
    distance_m = None if pool.distances_m is None else float(pool.distances_m[row])
    if pool.factors is None:
        return Multiplied(distance_m=distance_m)
    product = float(pool.factors[row])
    if factors is None:
        return Multiplied(product, (), product, distance_m)
    parts = _parts(pool, row, factors, served)
    rest = product / math.prod(part.factor for part in parts)
    if (served is not None or not factors.boosts) and factors.distance_half_m > 0 and rest <= 1 + SAME_FACTOR:
        parts.append(Part("distance", "", min(rest, 1.0)))
        halvings = -math.log2(min(rest, 1.0))
        if halvings < MOST_HALVINGS:
            distance_m = halvings * factors.distance_half_m
        rest = 1.0
    return Multiplied(product, tuple(parts), rest if abs(rest - 1) > SAME_FACTOR else 1.0, distance_m)


def _parts(pool: Pool, row: int, factors: Factors, served: ServedItem | None) -> list[Part]:
    """Boosts and what was seen."""
    found: list[Part] = []
    if served is not None:
        item = served.item
        tags = frozenset(tag.name for tag in item.tags)
        subject = Subject(served.posting, item.category, tags, item.owner, 0.0)
        found = Factors(factors.boosts).parts(subject)
    if pool.faded is not None and pool.faded[row]:
        found.append(Part("seen", "", factors.seen_share))
    return found
