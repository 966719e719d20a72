"""Opens what is imported: a file, a compressed one, or standard input."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.itemfile.lines import Lines

_GZIP = b"\x1f\x8b"
_OTHER_TEXT = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Opened:
    """Lines to read; `raw` tells how much of `size` was read, where the size is known."""

    lines: Lines
    raw: IO[bytes]
    size: int | None

    @property
    def read_bytes(self) -> int:
        """Of the file as it is on the disk."""
        return self.raw.tell() if self.size is not None else self.lines.offset


@contextmanager
def opened(file: Path) -> Iterator[Opened]:
    """Whether it is compressed is told by its first bytes. Raises CommandFailedError."""
    if file == STANDARD_INPUT:
        yield Opened(Lines(_plain(sys.stdin.buffer)), sys.stdin.buffer, None)
        return
    with file.open("rb") as raw:
        size = file.stat().st_size if file.is_file() else None
        try:
            yield Opened(Lines(_plain(raw)), raw, size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CommandFailedError(
                f"{file} is cut off or no gzip: {error}",
                reason="FILE_UNREADABLE",
                advice="What was read before is imported. Get the file anew.",
            ) from error


def _plain(raw: IO[bytes]) -> IO[bytes]:
    # Every file and pipe that Python opens for reading bytes can be peeked into.
    head: bytes = raw.peek(2)[:2]  # type: ignore[attr-defined]
    if head in _OTHER_TEXT:
        raise CommandFailedError(
            f"the file is {_OTHER_TEXT[head]}", reason="FILE_UNREADABLE", advice="Save it as UTF-8."
        )
    return cast("IO[bytes]", gzip.open(raw)) if head == _GZIP else raw
