"""The cold bytes of a segment: item ids and display messages, on disk, only ever appended to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

_WRITTEN_AT_ONCE = 16 << 20
Offsets = NDArray[np.uint64]
Piece = bytes | memoryview


class ColdFile:
    """The writer's side. The file is `capacity` long; what is beyond `used` nobody refers to."""

    def __init__(self, descriptor: int, path: Path, used: int, capacity: int) -> None:
        self._descriptor = descriptor
        self.path = path
        self.used = used
        self.capacity = capacity

    @classmethod
    def create(cls, path: Path) -> Self:
        """Empty, without any room yet."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return cls(os.open(path, flags, 0o600), path, 0, 0)

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that is there already, to be gone on with behind the last that was ever written."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(descriptor).st_size
        used = os.lseek(descriptor, 0, os.SEEK_HOLE) if size else 0
        return cls(descriptor, path, used, size)

    def reserve(self, capacity: int) -> None:
        """Make the file at least so long; room that is not written takes none on the disk."""
        if capacity > self.capacity:
            if os.fstat(self._descriptor).st_size < capacity:
                os.ftruncate(self._descriptor, capacity)
            self.capacity = capacity

    def append(self, pieces: Sequence[Piece]) -> int:
        """Write one behind the other, making room if need be; where the first begins. Raises OSError."""
        begin, joined = self.used, b"".join(pieces)
        self.reserve(begin + len(joined))
        _write(self._descriptor, joined, begin)
        self.used = begin + len(joined)
        return begin

    def copy_from(self, source: NDArray[np.uint8], begins: Offsets, lengths: Offsets) -> Offsets:
        """Append records of other cold bytes; where each begins now. Neighbours are copied in one go."""
        if not begins.size:
            return begins.copy()
        order = np.argsort(begins, kind="stable")
        sorted_begins, sorted_lengths = begins[order], lengths[order]
        ends = sorted_begins + sorted_lengths
        firsts = np.flatnonzero(np.concatenate(([True], sorted_begins[1:] != ends[:-1])))
        lasts = np.append(firsts[1:], len(order)) - 1
        moved = np.empty_like(begins)
        moved[order] = self.used + np.cumsum(sorted_lengths) - sorted_lengths
        waiting: list[Piece] = []
        size = 0
        for begin, end in zip(sorted_begins[firsts].tolist(), ends[lasts].tolist(), strict=True):
            waiting.append(source[begin:end].data)
            size += end - begin
            if size >= _WRITTEN_AT_ONCE:
                self.append(waiting)
                waiting, size = [], 0
        if waiting:
            self.append(waiting)
        return moved

    def sync(self) -> None:
        """What was written is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """The file stays."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Nobody will need it."""
        self.close()
        self.path.unlink(missing_ok=True)


def _write(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
