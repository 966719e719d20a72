"""One generation of a segment: a file of columns in memory that the writer and all readers map."""

import mmap
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.errors import ForeignReplicaError
from nearcast_replica.files import Files
from nearcast_replica.layout import COLUMNS, STATE_NAMES, Segment, Shape, segment_over, size_bytes
from nearcast_replica.names import NamesRead

Bytes = NDArray[np.uint8]

_MAGIC = b"ncsegm02"
HEADER_BYTES = 4096
_PAGE = 4096
_TOUCHED_AT_ONCE = 64 << 20


class Description(msgspec.Struct, frozen=True):
    """What a generation is. A reader takes no other `build` or `columns` (the layout) than its own."""

    build: str
    tenant_id: int
    number: int
    shape: Shape
    cold_name: str
    cold_bytes: int
    names_bytes: int = 0
    columns: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A mapped generation. It stays readable for as long as it is held, whatever becomes of the files."""

    description: Description
    file: Bytes
    segment: Segment
    names: Bytes
    _read: NamesRead = field(default_factory=NamesRead)

    @property
    def number(self) -> int:
        return self.description.number

    def dictionaries(self) -> Dictionaries:
        """With every name that is published by now."""
        return self._read.bring_to(self.names.data, int(self.segment["state"][STATE_NAMES]))

    def populate(self) -> None:
        """Touch every page, so that no request waits for one; lets other threads run meanwhile."""
        for begin in range(0, self.file.size, _TOUCHED_AT_ONCE):
            self.file[begin : begin + _TOUCHED_AT_ONCE : _PAGE].max()


class GenerationFile:
    """A file that becomes a generation once its columns are filled and its head is written."""

    def __init__(self, path: Path, names_bytes: int) -> None:
        self._path = path
        self._names_bytes = names_bytes
        self._file: Bytes = np.empty(0, np.uint8)

    def room(self, size: int) -> Bytes:
        """So many zeroed bytes for the columns, their memory set aside. Raises OSError if there is none."""
        whole = HEADER_BYTES + size + self._names_bytes
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # A page that is missing later would end the process instead of raising.
            os.posix_fallocate(descriptor, 0, whole)
            self._file = np.frombuffer(mmap.mmap(descriptor, whole), np.uint8)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(descriptor)
        return self._file[HEADER_BYTES : HEADER_BYTES + size]

    @property
    def names(self) -> Bytes:
        """The bytes for names; there are some once there is room for columns."""
        return self._file[self._file.size - self._names_bytes :]

    def finish(self, description: Description, cold_path: Path) -> Generation:
        """Write the head. The columns are filled, or will be before anyone is told of the file."""
        described = msgspec.structs.replace(description, columns=COLUMNS_MARK, names_bytes=self._names_bytes)
        header = _header(described)
        self._file[: len(header)] = np.frombuffer(header, np.uint8)
        return _laid_out(self._file, described, cold_path)

    def discard(self) -> None:
        """Nobody will need it."""
        self._path.unlink(missing_ok=True)


def open_generation(files: Files, number: int, build: str, *, writable: bool = False) -> Generation:
    """Raises FileNotFoundError, ForeignReplicaError."""
    path = files.generation(number)
    with path.open("r+b" if writable else "rb") as file:
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        size = os.fstat(file.fileno()).st_size
        if size < HEADER_BYTES:
            raise ForeignReplicaError(f"{path.name} is no segment")
        mapped = mmap.mmap(file.fileno(), size, access=access)
    description = read_header(mapped[:HEADER_BYTES], path.name, build)
    if size != _size(description):
        raise ForeignReplicaError(f"{path.name} has {size} bytes instead of {_size(description)}")
    return _laid_out(np.frombuffer(mapped, np.uint8), description, files.cold(description.cold_name))


def read_header(raw: bytes, name: str, build: str) -> Description:
    """Raises ForeignReplicaError."""
    length, check = int.from_bytes(raw[8:12], "little"), int.from_bytes(raw[12:16], "little")
    body = raw[16 : 16 + length]
    if raw[:8] != _MAGIC or zlib.crc32(body) != check:
        raise ForeignReplicaError(f"{name} is no segment, or its head is damaged")
    try:
        description = msgspec.json.decode(body, type=Description)
    except msgspec.DecodeError as error:
        raise ForeignReplicaError(f"{name} was written by another version of nearcast") from error
    if (description.build, description.columns) != (build, COLUMNS_MARK):
        raise ForeignReplicaError(
            f"{name} was written by build {description.build} with columns {description.columns}; "
            f"this is build {build} with columns {COLUMNS_MARK}"
        )
    return description


def map_cold(path: Path, size: int) -> Bytes:
    """The cold bytes, read-only; the file may be longer. Raises FileNotFoundError."""
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)


def _laid_out(file: Bytes, description: Description, cold_path: Path) -> Generation:
    begin = HEADER_BYTES + size_bytes(description.shape)
    segment = segment_over(
        file[HEADER_BYTES:begin], description.shape, map_cold(cold_path, description.cold_bytes)
    )
    return Generation(description, file, segment, file[begin : begin + description.names_bytes])


def _header(description: Description) -> bytes:
    body = msgspec.json.encode(description)
    if len(body) > HEADER_BYTES - 16:
        raise ValueError(f"a head of {len(body)} bytes is too long")
    lengths = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
    return (_MAGIC + lengths + body).ljust(HEADER_BYTES, b"\0")


def _size(description: Description) -> int:
    return HEADER_BYTES + size_bytes(description.shape) + description.names_bytes


def _mark(columns: Any) -> str:
    spelled = ",".join(f"{column.name}:{column.dtype}:{column.scope.value}" for column in columns)
    return f"{zlib.crc32(spelled.encode()):08x}"


COLUMNS_MARK = _mark(COLUMNS)
