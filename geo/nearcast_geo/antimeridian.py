"""Rings that cross the antimeridian or go round a pole: laid out on a longer map, then cut to the one map."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from nearcast_geo.distance import Floats

Laps = NDArray[np.int64]
_WORLD = 360.0


class RoundTheEarthError(ValueError):
    """A ring goes round the earth and does not say which pole it means, or goes round more than once."""


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """A closed ring without jumps: each longitude as given, and how many times 360 degrees lie before it."""

    lons: Floats
    lats: Floats
    laps: Laps

    @property
    def polygon(self) -> Polygon:
        """What it encloses, on the longer map."""
        return Polygon(np.column_stack([self.lons + _WORLD * self.laps, self.lats]))


def lay(lons: Floats, lats: Floats) -> Laid:
    """Lay out a closed ring. An edge over more than half the world goes the short way.

    From -180 to 180 it goes round the whole parallel, unless the ring only closes if that is no way at all. A
    ring that goes round the earth encloses the pole of its hemisphere. Raises RoundTheEarthError.
    """
    for whole_parallels in (True, False):
        laps = _laps(lons, whole_parallels=whole_parallels)
        if laps[-1] == 0:
            return Laid(lons, lats, laps)
    if abs(laps[-1]) > 1:
        raise RoundTheEarthError("goes round the earth more than once")
    if lats.min() <= 0.0 <= lats.max():
        raise RoundTheEarthError(
            "goes round the earth on both sides of the equator; say which pole it holds: lead it there"
            " along 180 degrees and back along -180"
        )
    return _around_pole(lons, lats)


def cut(laid: Laid) -> Iterator[Polygon]:
    """The parts of what a ring encloses, each on the map from -180 to 180; given points stay as given."""
    flat = laid.polygon
    west, _, east, _ = flat.bounds
    if west >= -180.0 and east <= 180.0:
        yield flat
        return
    for lap in range(math.floor((west + 180.0) / _WORLD), math.ceil((east - 180.0) / _WORLD) + 1):
        window = shapely.box(_WORLD * lap - 180.0, -90.0, _WORLD * lap + 180.0, 90.0)
        for part in shapely.get_parts(flat.intersection(window)):
            if isinstance(part, Polygon) and part.area:
                yield _moved(part, laid, lap)


def _laps(lons: Floats, *, whole_parallels: bool) -> Laps:
    steps = np.diff(lons)
    long = np.abs(steps) > _WORLD / 2
    if whole_parallels:
        long &= np.abs(steps) != _WORLD
    turns = np.where(long, -np.sign(steps), 0.0).astype(np.int64)
    return np.concatenate([[0], np.cumsum(turns)])


def _around_pole(lons: Floats, lats: Floats) -> Laid:
    """From the point nearest to the pole once round, so that nothing is in the way to the pole and back."""
    pole = math.copysign(90.0, lats[0])
    first = int(np.argmax(np.abs(lats[:-1])))
    order = np.concatenate([np.arange(first, len(lons) - 1), np.arange(first + 1)])
    lons, lats = lons[order], lats[order]
    laps = _laps(lons, whole_parallels=False)
    lons = np.concatenate([lons, lons[[-1, 0, 0]]])
    lats = np.concatenate([lats, [pole, pole, lats[0]]])
    return Laid(lons, lats, np.concatenate([laps, [laps[-1], 0, 0]]))


def _moved(part: Polygon, laid: Laid, lap: int) -> Polygon:
    """Back by so many times round; arithmetic alone would lose the last digits of a shared border."""
    if lap == 0:
        return part
    here = laid.laps == lap
    as_given = dict(zip((laid.lons[here] + _WORLD * lap).tolist(), laid.lons[here].tolist(), strict=True))

    def back(points: Floats) -> Floats:
        lons = [as_given.get(lon, lon - _WORLD * lap) for lon in points[:, 0].tolist()]
        return np.column_stack([lons, points[:, 1]])

    return shapely.transform(part, back)
