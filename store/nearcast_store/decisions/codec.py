"""A decision's record as bytes: its facts by msgspec, its candidates column by column, all of it deflated.

Beyond a size it goes without what nothing was decided by; where it is still too large the candidates are left
out, and the record says that it was cut.
"""

import zlib
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast_bandit.arranging import Layout
from nearcast_bandit.record import (
    Beginnings,
    Circumstances,
    DecisionRecord,
    FeedChoice,
    Ordering,
    Outcome,
    Pool,
)

FORMAT = 2
# What was added since is left out of a record of an older one.
_READ = (1, FORMAT)
MOST_BYTES = 256 * 1024
# More would be packed for longer than it is worth, only to be cut.
MOST_CANDIDATES = 20_000
_MOST_UNPACKED = 16 * 1024 * 1024
_LEVEL = 1
_WIDTH = 8
_POSTINGS, _NUMBERS = np.dtype("<i8"), np.dtype("<f8")


class UnreadableRecordError(ValueError):
    """Bytes that are no record, or one of a newer nearcast."""


class _Columns(NamedTuple):
    postings: bytes
    distances_m: bytes | None
    born_at: bytes | None
    kinds: tuple[int, ...]
    a: bytes
    b: bytes
    factors: bytes | None = None
    owners: bytes | None = None
    categories: bytes | None = None
    is_new: bytes | None = None
    lines: bytes | None = None
    faded: bytes | None = None


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    version: int
    circumstances: Circumstances
    choice: FeedChoice
    ordering: Ordering
    excluded: tuple[int, ...]
    outcome: Outcome
    columns: _Columns | None
    layout: Layout | None = None
    beginnings: Beginnings | None = None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Packed)


def pack(record: DecisionRecord, most_bytes: int = MOST_BYTES) -> bytes:
    """At most `most_bytes`, but for a record whose facts alone are longer, which never has been."""
    pool = record.pool
    if pool is not None and pool.postings.size <= MOST_CANDIDATES:
        for kept in (record, _needed(record, pool)):
            assert kept.pool is not None
            packed = _deflated(kept, record.circumstances, _columns(kept.pool))
            if len(packed) <= most_bytes:
                return packed
    gap = record.circumstances.gap if pool is None else "cut"
    circumstances = msgspec.structs.replace(record.circumstances, gap=gap)
    return _deflated(replace(record, beginnings=None), circumstances, None)


def unpack(raw: bytes) -> DecisionRecord:
    """The record; UnreadableRecordError says what is wrong with the bytes."""
    inflater = zlib.decompressobj()
    try:
        packed = _decoder.decode(inflater.decompress(raw, _MOST_UNPACKED))
        if packed.version not in _READ:
            raise UnreadableRecordError(
                f"a record of format {packed.version}; this nearcast reads formats {_READ[0]} to {FORMAT}"
            )
        pool = None if packed.columns is None else _pool(packed.columns)
        _check_beginnings(pool, packed.beginnings)
    except (zlib.error, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UnreadableRecordError(f"no record of a decision: {error}") from error
    except UnreadableRecordError:
        raise
    except ValueError as error:
        raise UnreadableRecordError(f"its columns do not fit together: {error}") from error
    return DecisionRecord(
        packed.circumstances,
        packed.choice,
        packed.ordering,
        packed.excluded,
        packed.outcome,
        pool,
        packed.layout,
        packed.beginnings,
    )


def _check_beginnings(pool: Pool | None, beginnings: Beginnings | None) -> None:
    """Raise ValueError where a candidate begins with what the record does not say."""
    if pool is None or beginnings is None:
        return
    lines = np.zeros(1, np.int64) if pool.lines is None else pool.lines
    if any(len(line) != len(pool.kinds) for line in beginnings.lines):
        raise ValueError("a line of priors has not one for each kind")
    if lines.size and not 0 <= lines.min() <= lines.max() < len(beginnings.lines):
        raise ValueError("a candidate began with a prior that is not there")


def _needed(record: DecisionRecord, pool: Pool) -> DecisionRecord:
    """What it takes to decide again."""
    return replace(record, pool=replace(pool, lines=None, faded=None), beginnings=None)


def _deflated(record: DecisionRecord, circumstances: Circumstances, columns: _Columns | None) -> bytes:
    packed = _Packed(
        FORMAT,
        circumstances,
        record.choice,
        record.ordering,
        record.excluded,
        record.outcome,
        columns,
        record.layout,
        record.beginnings,
    )
    return zlib.compress(_encode(packed), _LEVEL)


def _columns(pool: Pool) -> _Columns:
    """In the order of postings, which are close together then and deflate well."""
    inorder = pool.only(np.argsort(pool.postings, kind="stable"))
    return _Columns(
        _planes(inorder.postings.astype(_POSTINGS)),
        None if inorder.distances_m is None else _raw(inorder.distances_m),
        None if inorder.born_at is None else _raw(inorder.born_at),
        inorder.kinds,
        _raw(inorder.a),
        _raw(inorder.b),
        None if inorder.factors is None else _raw(inorder.factors),
        None if inorder.owners is None else _planes(inorder.owners.astype(_POSTINGS)),
        None if inorder.categories is None else _planes(inorder.categories.astype(_POSTINGS)),
        None if inorder.is_new is None else inorder.is_new.tobytes(),
        None if inorder.lines is None else _planes(inorder.lines.astype(_POSTINGS)),
        None if inorder.faded is None else inorder.faded.tobytes(),
    )


def _pool(columns: _Columns) -> Pool:
    shape = (len(columns.kinds), -1) if columns.kinds else (0, len(columns.postings) // 8)
    return Pool(
        _whole(columns.postings),
        None if columns.distances_m is None else _floats(columns.distances_m),
        None if columns.born_at is None else _floats(columns.born_at),
        columns.kinds,
        _floats(columns.a).reshape(shape),
        _floats(columns.b).reshape(shape),
        None if columns.factors is None else _floats(columns.factors),
        None if columns.owners is None else _whole(columns.owners),
        None if columns.categories is None else _whole(columns.categories),
        None if columns.is_new is None else np.frombuffer(columns.is_new, np.bool),
        None if columns.lines is None else _whole(columns.lines),
        None if columns.faded is None else np.frombuffer(columns.faded, np.bool),
    )


def _raw(numbers: NDArray[np.float64]) -> bytes:
    return _planes(numbers.astype(_NUMBERS))


def _whole(raw: bytes) -> NDArray[np.int64]:
    return _joined(raw, _POSTINGS).astype(np.int64)


def _floats(raw: bytes) -> NDArray[np.float64]:
    return _joined(raw, _NUMBERS).astype(np.float64)


def _planes(numbers: NDArray[Any]) -> bytes:
    """All first bytes, all second bytes …: those that hardly differ deflate to nothing then."""
    return np.ascontiguousarray(numbers).reshape(-1).view(np.uint8).reshape(-1, _WIDTH).T.tobytes()


def _joined(raw: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(raw, np.uint8).reshape(_WIDTH, -1).T.copy().view(dtype).reshape(-1)
