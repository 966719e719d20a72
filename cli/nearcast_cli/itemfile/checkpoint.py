"""How far an import came, kept beside the file so that the next one goes on from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Target
from nearcast_cli.itemfile.batching import Span
from nearcast_cli.itemfile.entries import Format
from nearcast_cli.itemfile.lines import Mark

SUFFIX = ".import"


class Counted(msgspec.Struct, frozen=True):
    """What became of the lines that were settled."""

    written: int = 0
    created: int = 0
    refused: int = 0


class Progress(msgspec.Struct, frozen=True):
    """Everything up to `mark` is settled, and so are the spans of lines beyond it.

    `purpose` tells server, key and format apart; `rejects_bytes` is what the file of rejects had then.
    """

    purpose: str
    mark: Mark = Mark()
    beyond: Sequence[Span] = ()
    counted: Counted = Counted()
    rejects_bytes: int = 0


def purpose_of(target: Target, form: Format) -> str:
    """The same for the same file read in the same way for the same tenant; tells no secret."""
    said = msgspec.json.encode(
        [target.address, target.api_key, form.kind, form.delimiter, dict(form.columns)]
    )
    return blake2b(said, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A small file that is there while an import is unfinished."""

    path: Path

    def read(self) -> Progress | None:
        """Of an import that broke off. Raises CommandFailedError when it is no checkpoint."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Progress)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise cannot_resume(self.path, f"it is no checkpoint of this version: {error}") from error

    def write(self, progress: Progress) -> None:
        """The whole of it, or it stays as it was."""
        draft = self.path.with_name(f"{self.path.name}.part")
        draft.write_bytes(msgspec.json.encode(progress))
        draft.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def cannot_resume(path: Path, why: str) -> CommandFailedError:
    """There is an unfinished import and this is not its continuation."""
    return CommandFailedError(
        f"an import is unfinished and cannot go on by {path}: {why}",
        reason="CHECKPOINT_MISMATCH",
        advice="Begin anew with --restart, or give the file as it was.",
    )
