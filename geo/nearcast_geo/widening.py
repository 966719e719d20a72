"""How a query that found too little looks farther, in few fixed steps."""

from collections.abc import Iterable, Iterator


def widen(
    radius_m: float, max_radius_m: float, factors: Iterable[float] = (2.0, 4.0, 10.0)
) -> Iterator[float]:
    """Yield the radius, then each multiple of it, growing and cut at the maximum, which is still searched."""
    widest = radius_m
    yield widest
    for factor in factors:
        wider = min(radius_m * factor, max_radius_m)
        if wider > widest:
            widest = wider
            yield widest
