"""Which parts of the keeper do their work, for whoever asks whether it is ready."""

from collections.abc import Callable, Iterable


class Vitals:
    """A part counts as missing until it worked, and while it fails. `ready` is called once, when none is."""

    def __init__(self, parts: Iterable[str], ready: Callable[[], None]) -> None:
        self._troubles = dict.fromkeys(parts, "starting")
        self._ready = ready
        self._was_ready = False

    def worked(self, part: str) -> None:
        """It does its work."""
        self._troubles.pop(part, None)
        if not self._troubles and not self._was_ready:
            self._was_ready = True
            self._ready()

    def failed(self, part: str, why: str = "") -> None:
        """It does not, and tries again."""
        self._troubles[part] = f"failing ({why})" if why else "failing"

    def missing(self) -> str | None:
        """What is missing, in words; None when nothing is."""
        return ", ".join(f"{part} is {trouble}" for part, trouble in self._troubles.items()) or None
