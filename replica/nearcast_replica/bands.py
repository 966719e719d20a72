"""The order of the rows of a segment, and the index that finds where a latitude band begins."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.reach import BUCKETS, bucket_radius_m
from nearcast_replica.layout import (
    BAND_DEGREES,
    BANDS,
    CLASS_BAND_COUNT,
    CLASS_FIRST_BAND,
    CLASS_OFFSET,
    CLASSES,
    Segment,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Keys = NDArray[np.uint64]

_CLASS_ENDS = np.array([bucket_radius_m(bucket) for bucket in BUCKETS])
_LONGITUDE_BITS = np.uint64(32)


def class_of(reach_m: Floats) -> Integers:
    """The class of each reach; NaN, which is none, is class 0."""
    bucket = np.minimum(np.searchsorted(_CLASS_ENDS, reach_m), len(BUCKETS) - 1)
    return np.where(np.isnan(reach_m), 0, 1 + bucket)


def band_of(lat: Floats) -> Integers:
    """The latitude band of each place."""
    bands: Integers = np.clip(np.floor((lat + 90.0) / BAND_DEGREES).astype(np.int64), 0, BANDS - 1)
    return bands


def row_keys(cells: Integers, lon: NDArray[np.float32]) -> Keys:
    """Numbers in the order of rows: by cell, which is class and band in one number, then longitude."""
    bits = lon.view(np.uint32)
    ranked = np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(0x8000_0000))
    return (cells.astype(np.uint64) << _LONGITUDE_BITS) | ranked


def cells_of(keys: Keys) -> Integers:
    """Class and band of each key."""
    return (keys >> _LONGITUDE_BITS).astype(np.int64)


def index_size(cells: Integers) -> int:
    """How many starts the index of these cells has, which are in order."""
    spans = _spans(cells)
    return sum(count + 1 for _, _, count in spans)


def fill_index(segment: Segment, cells: Integers) -> None:
    """Enter where each band of the sorted rows begins, given the cell of each of these rows."""
    starts, offset = segment["band_starts"], 0
    for klass, (begin, first, count) in enumerate(_spans(cells)):
        row = segment["classes"][klass]
        row[CLASS_FIRST_BAND], row[CLASS_BAND_COUNT], row[CLASS_OFFSET] = first, count, offset
        bounds = klass * BANDS + np.arange(first, first + count + 1)
        starts[offset : offset + count + 1] = np.searchsorted(cells, bounds) if count else begin
        offset += count + 1


def indexed_cells(segment: Segment) -> Integers:
    """The cell of each sorted row, as the index tells it."""
    cells, sizes = [], []
    for klass in range(CLASSES):
        row = segment["classes"][klass]
        first, count, offset = (int(row[word]) for word in (CLASS_FIRST_BAND, CLASS_BAND_COUNT, CLASS_OFFSET))
        cells.append(klass * BANDS + np.arange(first, first + count))
        sizes.append(np.diff(segment["band_starts"][offset : offset + count + 1]))
    return np.repeat(np.concatenate(cells), np.concatenate(sizes))


def _spans(cells: Integers) -> list[tuple[int, int, int]]:
    """Of each class: its first row, its first band and how many bands there are up to its last."""
    edges = np.searchsorted(cells, np.arange(CLASSES + 1) * BANDS).tolist()
    spans = []
    for klass, (begin, end) in enumerate(pairwise(edges)):
        if begin == end:
            spans.append((begin, 0, 0))
            continue
        first, last = int(cells[begin]) - klass * BANDS, int(cells[end - 1]) - klass * BANDS
        spans.append((begin, first, last - first + 1))
    return spans
