"""How near a record of a decision tells where somebody was: `python -m benchmarks.decision.whereabouts`.

Items lie evenly about the person and are known. Of random points those are kept that would have given the
same record; told is how wide they lie, in metres.
"""

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
RADIUS_M, CANDIDATES, ROUNDS = 5_000.0, 400, 20
_POINTS, _ENOUGH = 20_000, 200


def main() -> None:
    """A line for each way to write down who competed."""
    rng = np.random.default_rng(1)
    for step_m in (100.0, 1_000.0):
        width_m = _width(rng, step_m, partial(_rounded, step_m))
        print(f"distances rounded to {step_m:.0f} m: {width_m:.1f} m")
    print(f"candidates alone: {_width(rng, RADIUS_M / 50, _is_near):.1f} m")


def _rounded(step_m: float, distances_m: Points) -> Points:
    return np.round(distances_m / step_m)


def _is_near(distances_m: Points) -> NDArray[np.bool]:
    near: NDArray[np.bool] = distances_m <= RADIUS_M
    return near


def _width(rng: np.random.Generator, span_m: float, told: Callable[[Points], NDArray[np.generic]]) -> float:
    side_m = 2 * RADIUS_M * np.sqrt(np.pi)
    return median(
        _field(rng, (rng.random((4 * CANDIDATES, 2)) - 0.5) * side_m, span_m, told) for _ in range(ROUNDS)
    )


def _field(
    rng: np.random.Generator, items: Points, span_m: float, told: Callable[[Points], NDArray[np.generic]]
) -> float:
    """The person is in the middle; items beyond the radius are told only in that they are."""
    from_me = np.hypot(*items.T)
    near = items if told(np.full(1, RADIUS_M)).dtype == np.bool else items[from_me <= RADIUS_M]
    while True:
        points = (rng.random((_POINTS, 2)) - 0.5) * span_m
        for item in near:
            as_told = told(np.hypot(*(item - points).T)) == told(np.hypot(*item[:, None]))
            points = points[as_told]
        if len(points) > _ENOUGH:
            return float(np.ptp(points, axis=0).mean())
        span_m /= 2


if __name__ == "__main__":
    main()
