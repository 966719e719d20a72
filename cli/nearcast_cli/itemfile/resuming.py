"""Where an import begins: at the first line, or after what an earlier one settled."""

from nearcast_cli.itemfile.checkpoint import Checkpoint, Progress, cannot_resume
from nearcast_cli.itemfile.entries import Entries


def begin(entries: Entries, checkpoint: Checkpoint | None, purpose: str, *, restart: bool) -> Progress:
    """The entries go on after it. Raises CommandFailedError when they do not continue what broke off."""
    fresh = Progress(purpose, entries.lines.mark())
    if checkpoint is None:
        return fresh
    if restart:
        checkpoint.remove()
        return fresh
    earlier = checkpoint.read()
    if earlier is None:
        return fresh
    if earlier.purpose != purpose:
        raise cannot_resume(checkpoint.path, "it was for another server, another key or another format")
    if not entries.go_on_after(earlier.mark):
        raise cannot_resume(
            checkpoint.path, f"the file has changed within the {earlier.mark.line} lines that were imported"
        )
    return earlier
