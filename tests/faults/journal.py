"""What a client meant to send, sent, and was told: an append-only file that outlives its writer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Word: TypeAlias = Literal["intended", "sent", "acked", "forgiven"]


class Intent(msgspec.Struct, frozen=True, array_like=True):
    """One event under the identity that the ledger must give it, and what the gateway must say of it.

    `posting` and `kind` are 0 for an event known by its event id alone. `refused` is the reason it must be
    refused with.
    """

    origin: str
    posting: int
    kind: int
    wire: bytes
    learned: bool = False
    refused: str = ""

    @property
    def identity(self) -> tuple[str, int, int]:
        return self.origin, self.posting, self.kind


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of the file; `codes` and `learned` are what an answer said of each event."""

    word: Word
    batch: int
    events: Sequence[Intent] = ()
    codes: Sequence[str] = ()
    learned: Sequence[bool] = ()


@dataclass(slots=True)
class Batch:
    """What is known of one batch: it is `acked` once an answer came, and no more when that was forgiven."""

    number: int
    events: Sequence[Intent]
    sends: int = 0
    answers: list[Line] = field(default_factory=list)
    forgiven: bool = False

    @property
    def acked(self) -> bool:
        return bool(self.answers) and not self.forgiven


class Journal:
    """Writes one file; each line is with the kernel before what it tells of happens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._next = len({batch.number for batch in read(path)}) + 1

    def intend(self, events: Sequence[Intent]) -> Batch:
        """A new batch."""
        batch = Batch(self._next, events)
        self._next += 1
        self._write(Line("intended", batch.number, events))
        return batch

    def sent(self, batch: Batch) -> None:
        self._write(Line("sent", batch.number))

    def acked(self, batch: Batch, codes: Sequence[str], learned: Sequence[bool]) -> None:
        """`codes` has a reason where an event was refused, and nothing where it was taken."""
        self._write(Line("acked", batch.number, codes=codes, learned=learned))

    def forgive(self, batches: Iterable[Batch]) -> None:
        """The log lost what it had acknowledged beyond its durability: these may be counted or not."""
        for batch in batches:
            self._write(Line("forgiven", batch.number))

    def close(self) -> None:
        self._file.close()

    def _write(self, line: Line) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")


def read(path: Path) -> list[Batch]:
    """Every batch of the file; a last line that was cut off tells nothing."""
    batches: dict[int, Batch] = {}
    for line in _lines(path):
        if line.word == "intended":
            batches[line.batch] = Batch(line.batch, line.events)
            continue
        batch = batches[line.batch]
        if line.word == "sent":
            batch.sends += 1
        elif line.word == "acked":
            batch.answers.append(line)
            batch.forgiven = False
        else:
            batch.forgiven = True
    return list(batches.values())


def _lines(path: Path) -> Iterator[Line]:
    decode = msgspec.json.Decoder(Line).decode
    for raw in path.read_bytes().splitlines(keepends=True):
        if raw.endswith(b"\n"):
            yield decode(raw)
