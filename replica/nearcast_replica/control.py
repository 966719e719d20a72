"""The page by which one writer tells all readers of a host which generation to read."""

import fcntl
import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

from nearcast_replica.errors import ForeignReplicaError, SecondWriterError

_PAGE = 4096
_WORD_BYTES = 64  # a word per cache line, so that readers of one do not wait for writes of another
_MAGIC = int.from_bytes(b"ncpage01", "little")

(
    _MAGIC_AT,
    _EPOCH_AT,
    _GENERATION_AT,
    _SEQUENCE_AT,
    _BEAT_AT,
    _PENDING_AT,
    _RESYNC_AT,
    _ABREAST_AT,
    _RESYNCS_AT,
    _DECLINED_AT,
    _INDEX_BEHIND_AT,
) = range(11)


class Declined(IntEnum):
    """Why this host holds no replica of a tenant, by decision."""

    NOT = 0
    MEMORY = 1  # it does not fit
    NAMES = 2  # more markets, categories or tags than there are numbers for
    SYSTEM = 3  # the host refused a file, or memory


# Calling the enumeration takes ten times as long.
_DECLINED = tuple(Declined)


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the writer is. `beat_ms` is when it last was at work, unix milliseconds; generation 0 is none yet.

    `epoch` counts the switches to another generation, `resyncing` is set while everything is read anew, which
    happened `resyncs` times. Everything that the index held at `abreast_ms` is in. `index_behind`: the
    index has lost changes that are in.
    """

    epoch: int
    generation: int
    sequence: int
    beat_ms: int
    pending: int
    resyncing: bool
    abreast_ms: int = 0
    resyncs: int = 0
    declined: Declined = Declined.NOT
    index_behind: bool = False


class ControlPage:
    """Words of 64 bits, each read and written whole. The writer holds a lock until it closes the page."""

    def __init__(self, page: mmap.mmap, found: os.stat_result, lock: int | None = None) -> None:
        self._words = memoryview(page).cast("Q")
        self._file = (found.st_dev, found.st_ino)
        self._lock = lock

    @classmethod
    def create(cls, path: Path) -> Self:
        """For the writer; the page of one that is gone is taken over. Raises SecondWriterError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise SecondWriterError(f"another process writes {path.name}") from error
        os.ftruncate(descriptor, _PAGE)
        control = cls(mmap.mmap(descriptor, _PAGE), os.fstat(descriptor), descriptor)
        control._put(_MAGIC_AT, _MAGIC)
        return control

    @classmethod
    def open(cls, path: Path) -> Self:
        """For a reader. Raises FileNotFoundError, ForeignReplicaError."""
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size != _PAGE:
                raise ForeignReplicaError(f"{path.name} is no control page")
            control = cls(mmap.mmap(file.fileno(), _PAGE, access=mmap.ACCESS_READ), found)
        if control._get(_MAGIC_AT) != _MAGIC:
            raise ForeignReplicaError(f"{path.name} was written by another version of nearcast")
        return control

    @property
    def generation(self) -> int:
        """Number of the generation to read, 0 before the first."""
        return self._words[_GENERATION_AT * _WORD_BYTES // 8]

    def is_at(self, path: Path) -> bool:
        """Whether the file of this page is still the one at that path."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def vitals(self) -> Vitals:
        return Vitals(
            epoch=self._get(_EPOCH_AT),
            generation=self._get(_GENERATION_AT),
            sequence=self._get(_SEQUENCE_AT),
            beat_ms=self._get(_BEAT_AT),
            pending=self._get(_PENDING_AT),
            resyncing=bool(self._get(_RESYNC_AT)),
            abreast_ms=self._get(_ABREAST_AT),
            resyncs=self._get(_RESYNCS_AT),
            declined=Declined(self._get(_DECLINED_AT)),
            index_behind=bool(self._get(_INDEX_BEHIND_AT)),
        )

    def standing(self) -> tuple[int, int, Declined, bool]:
        """Of the vitals what every request asks: abreast_ms, beat_ms, declined and index_behind."""
        get = self._get
        return get(_ABREAST_AT), get(_BEAT_AT), _DECLINED[get(_DECLINED_AT)], get(_INDEX_BEHIND_AT) != 0

    def switch(self, generation: int) -> None:
        """From here on readers read that generation."""
        self._put(_GENERATION_AT, generation)
        self._put(_EPOCH_AT, self._get(_EPOCH_AT) + 1)

    def beat(self, now: float, sequence: int, pending: int) -> None:
        """The writer is at work; `now` in unix seconds."""
        self._put(_SEQUENCE_AT, sequence)
        self._put(_PENDING_AT, pending)
        self._put(_BEAT_AT, int(now * 1000))

    def note_resync(self, under_way: bool) -> None:
        """Whether everything is being read anew."""
        if under_way:
            self._put(_RESYNCS_AT, self._get(_RESYNCS_AT) + 1)
        self._put(_RESYNC_AT, int(under_way))

    def note_abreast(self, at: float) -> None:
        """All that the index held at that time (unix seconds) is in what readers are given."""
        self._put(_ABREAST_AT, int(at * 1000))

    def note_declined(self, why: Declined) -> None:
        """Whether this host holds no replica of the tenant, by decision."""
        self._put(_DECLINED_AT, why)

    def note_index_behind(self, is_behind: bool) -> None:
        """Whether readers are given what the index has lost."""
        self._put(_INDEX_BEHIND_AT, int(is_behind))

    def close(self) -> None:
        """Give up the writer's lock. The page itself goes when nobody refers to it."""
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # the mapping holds a copy of the descriptor
            os.close(self._lock)
            self._lock = None

    def _get(self, word: int) -> int:
        return self._words[word * _WORD_BYTES // 8]

    def _put(self, word: int, value: int) -> None:
        self._words[word * _WORD_BYTES // 8] = value
