"""A generation on disk: written aside and named last, checked when it is mapped back."""

import os
import zlib
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

import msgspec

from nearcast_replica.cold import ColdFile
from nearcast_replica.errors import ForeignReplicaError, UnusableSnapshotError
from nearcast_replica.files import Files
from nearcast_replica.generation import HEADER_BYTES, Bytes, Description, GenerationFile, read_header
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.layout import STATE_COLD, size_bytes
from nearcast_replica.sizing import Reserve

_COPIED_AT_ONCE = 8 << 20


class Saved(msgspec.Struct, frozen=True):
    """What was saved, and what its bytes must add up to. The note is of whoever saved it."""

    columns_name: str
    columns_check: int
    cold_name: str
    cold_bytes: int
    sequence: int
    note: bytes


def save(generation: GrowingGeneration, files: Files, note: bytes) -> None:
    """Write all of it to disk, in place of what was saved before. Nobody may bring it forward meanwhile.

    Cold bytes are only ever appended to, so the same file serves as long as it is on the same disk.
    """
    sequence = generation.sequence
    stem = f"{generation.generation.number}-{sequence}"
    aside, columns, cold = (files.saved(name) for name in ("aside", f"{stem}.columns", f"{stem}.cold"))
    check = _write_columns(generation, aside)
    aside.replace(columns)
    generation.cold.sync()
    _link_or_copy(generation.cold.path, cold, generation.cold.used)
    saved = Saved(f"{stem}.columns", check, f"{stem}.cold", generation.cold.used, sequence, note)
    _write_durably(aside, msgspec.json.encode(saved))
    aside.replace(files.manifest)
    _sync_directory(files.manifest.parent)
    files.keep_saved(columns, cold)


def restore(
    files: Files, number: int, build: str, kinds: tuple[int, ...], reserve: Reserve
) -> tuple[GrowingGeneration, bytes]:
    """What was saved last as a generation of that number, with its note. Raises UnusableSnapshotError."""
    try:
        saved = msgspec.json.decode(files.manifest.read_bytes(), type=Saved)
        with files.saved(saved.columns_name).open("rb") as columns:
            header = columns.read(HEADER_BYTES)
            described = read_header(header, saved.columns_name, build)
            _check(saved, files, described, kinds)
            new = GenerationFile(files.generation(number), described.names_bytes)
            room = new.room(size_bytes(described.shape))
            try:
                _read_columns(columns, saved, zlib.crc32(header), [room, new.names])
            except BaseException:
                new.discard()
                raise
        return _opened(new, described, saved, files, number, reserve), saved.note
    except FileNotFoundError as error:
        raise UnusableSnapshotError(f"{Path(str(error.filename)).name} is missing") from error
    except (msgspec.DecodeError, ForeignReplicaError, OSError) as error:
        raise UnusableSnapshotError(str(error)) from error


def _check(saved: Saved, files: Files, described: Description, kinds: tuple[int, ...]) -> None:
    if files.saved(saved.cold_name).stat().st_size < saved.cold_bytes:
        raise ForeignReplicaError(f"{saved.cold_name} is cut off")
    held = described.shape.kinds
    if held != kinds:
        raise ForeignReplicaError(f"it has statistics of kinds {list(held)} instead of {list(kinds)}")


def _opened(
    new: GenerationFile, described: Description, saved: Saved, files: Files, number: int, reserve: Reserve
) -> GrowingGeneration:
    """What a former writer appended to the cold bytes since, readers may still read: more goes behind it."""
    cold_path = files.cold(files.cold_name(number))
    _link_or_copy(files.saved(saved.cold_name), cold_path, saved.cold_bytes)
    cold = ColdFile.open(cold_path)
    cold.reserve(reserve.cold_bytes(cold.used))
    described = msgspec.structs.replace(
        described, number=number, cold_name=cold_path.name, cold_bytes=cold.capacity
    )
    generation = new.finish(described, cold_path)
    generation.segment["state"][STATE_COLD] = cold.used
    return GrowingGeneration(generation, cold)


def _write_columns(generation: GrowingGeneration, path: Path) -> int:
    check, file = 0, generation.generation.file
    with path.open("wb") as target:
        for begin in range(0, file.size, _COPIED_AT_ONCE):
            part = file[begin : begin + _COPIED_AT_ONCE].data
            check = zlib.crc32(part, check)
            target.write(part)
        target.flush()
        os.fsync(target.fileno())
    return check


def _read_columns(file: BufferedReader, saved: Saved, check: int, targets: Iterable[Bytes]) -> None:
    for target in targets:
        for begin in range(0, target.size, _COPIED_AT_ONCE):
            part = target[begin : begin + _COPIED_AT_ONCE].data
            if file.readinto(part) != part.nbytes:
                raise ForeignReplicaError(f"{saved.columns_name} is cut off")
            check = zlib.crc32(part, check)
    if check != saved.columns_check:
        raise ForeignReplicaError(f"{saved.columns_name} is damaged: its checksum is another")


def _link_or_copy(source: Path, target: Path, size: int) -> None:
    """Two names for one file where the disk allows it."""
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        with source.open("rb") as begin, target.open("wb") as end:
            while size > 0:
                part = begin.read(min(size, _COPIED_AT_ONCE))
                size -= end.write(part)
            end.flush()
            os.fsync(end.fileno())


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
