"""Lines of a file of any size: numbered, bounded in memory, and known again by a digest of what was read."""

from collections import deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import IO

# More than any item needs, however it is spelled.
MOST_LINE_BYTES = 4 * 1024 * 1024
_DIGEST_BYTES = 16


class LineTooLongError(Exception):
    """A line that cannot be an item; it was passed over."""


@dataclass(frozen=True, slots=True)
class Mark:
    """So many lines from the beginning, their bytes, and the digest of all they said."""

    line: int = 0
    offset: int = 0
    digest: str = ""


START = Mark()


@dataclass(frozen=True, slots=True)
class _Line:
    """`said` is what the digest is taken of; of a line that is too long that is its own digest."""

    said: bytes
    length: int
    too_long: bool = False


class Lines:
    """An iterator over lines; those handed out since the last `commit` can be taken back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = blake2b(digest_size=_DIGEST_BYTES)
        self._line = 0
        self._offset = 0
        self._pending: list[_Line] = []
        self._again: deque[_Line] = deque()

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> bytes:
        """The next line with its end. Raises LineTooLongError, after which it goes on."""
        line = self._again.popleft() if self._again else self._read()
        if not line.length:
            raise StopIteration
        self._pending.append(line)
        if line.too_long:
            raise LineTooLongError(f"the line has {line.length} bytes, more than {MOST_LINE_BYTES}")
        return line.said

    @property
    def number(self) -> int:
        """Of the next line after the last `commit`; the first is 1."""
        return self._line + 1

    @property
    def offset(self) -> int:
        """Bytes up to the last `commit`."""
        return self._offset

    @property
    def pending(self) -> int:
        """Lines handed out since the last `commit`."""
        return len(self._pending)

    def commit(self) -> None:
        """What was handed out belongs together and is done with."""
        for line in self._pending:
            self._hash.update(line.said)
            self._offset += line.length
        self._line += len(self._pending)
        self._pending.clear()

    def keep_first(self) -> None:
        """Take back all but the first line handed out: they come again."""
        self._again.extendleft(reversed(self._pending[1:]))
        del self._pending[1:]

    def mark(self) -> Mark:
        """Where the last `commit` was."""
        return Mark(self._line, self._offset, self._hash.hexdigest())

    def skip_to(self, mark: Mark) -> bool:
        """Read up to a mark of an earlier run; whether the file still says the same up to there."""
        while self._line < mark.line:
            try:
                next(self)
            except LineTooLongError:
                pass
            except StopIteration:
                return False
            self.commit()
        return self.mark() == mark

    def _read(self) -> _Line:
        said = self._stream.readline(MOST_LINE_BYTES + 1)
        if len(said) <= MOST_LINE_BYTES or said.endswith(b"\n"):
            return _Line(said, len(said))
        hashed, length = blake2b(said), len(said)
        while said and not said.endswith(b"\n"):
            said = self._stream.readline(MOST_LINE_BYTES)
            hashed.update(said)
            length += len(said)
        return _Line(hashed.digest(), length, too_long=True)
