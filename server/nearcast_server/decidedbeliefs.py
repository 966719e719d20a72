"""What was believed of one candidate of a logged decision, from the record alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR, draw_betas
from nearcast_bandit.posterior import sharpen
from nearcast_bandit.record import Beginning, DecisionRecord, Pool

# A replica keeps A and B in single precision.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Begun:
    """The prior, of which fit, and the evidence that made the posterior of it.

    `exposure` is None where it was no more than `success`: what goes beyond the exposures only raises A.
    """

    beginning: Beginning
    fit: int
    exposure: float | None
    success: float


@dataclass(frozen=True, slots=True)
class KindTold:
    """What was believed for one kind of event, and what was drawn; 0 where nothing is drawn.

    `begun` is None for a record that does not keep it, or a posterior that did not begin so.
    """

    kind: str
    weight: float
    a: float
    b: float
    draw: float
    begun: Begun | None = None


def kinds_told(
    record: DecisionRecord, pool: Pool, kinds: Mapping[int, str], row: int
) -> tuple[KindTold, ...]:
    """Kind by kind, by the names of the policy that decided."""
    weights = dict(zip(record.ordering.kinds, record.ordering.weights, strict=True))
    told = []
    for line, number in enumerate(pool.kinds):
        a, b, weight = float(pool.a[line, row]), float(pool.b[line, row]), weights.get(number, 0.0)
        draw = _draw(record, pool, line, row) if weight else 0.0
        name = kinds.get(number, str(number))
        told.append(KindTold(name, weight, a, b, draw, _begun(record, pool, line, row)))
    return tuple(told)


def _draw(record: DecisionRecord, pool: Pool, line: int, row: int) -> float:
    ordering = record.ordering
    if ordering.order != "draw":
        return 0.0
    a, b = (np.clip(each[line, [row]], SHAPE_FLOOR, SHAPE_CEILING) for each in (pool.a, pool.b))
    sharp = sharpen(a, b, ordering.sharpness)
    drawn = draw_betas(ordering.seed, pool.postings[[row]], pool.kinds[line], *sharp)
    return float(np.asarray(drawn)[0])


def _begun(record: DecisionRecord, pool: Pool, line: int, row: int) -> Begun | None:
    """Evidence only adds to A and B: what is below its prior was not made of it."""
    if record.beginnings is None:
        return None
    which = 0 if pool.lines is None else int(pool.lines[row])
    prior = record.beginnings.lines[which][line]
    a, b = float(pool.a[line, row]), float(pool.b[line, row])
    first_a, first_b = prior.mean * prior.strength, (1 - prior.mean) * prior.strength
    if a < first_a * (1 - _ROUNDING) or b < first_b * (1 - _ROUNDING):
        return None
    success, failure = _beyond(a, first_a), _beyond(b, first_b)
    exposure = success + failure if failure or not success else None
    return Begun(prior, record.beginnings.fit, exposure, success)


def _beyond(shape: float, first: float) -> float:
    """How much was added, where it is more than rounding."""
    return shape - first if shape > first * (1 + _ROUNDING) else 0.0
