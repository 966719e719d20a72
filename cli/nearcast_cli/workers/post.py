"""A worker's place: who fills it, who is about to, and who is leaving it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from nearcast_cli.workers.worker import Worker


@dataclass(slots=True)
class Post:
    """There is a `current` worker, or it is due to be started; a `successor` takes over once it is open.

    `reason` says why the current one shall be replaced, "" if it shall not, and not before `again_s`.
    """

    number: int
    current: Worker | None = None
    successor: Worker | None = None
    leaving: list[Worker] = field(default_factory=list)
    failures: int = 0
    due_s: float = 0.0
    again_s: float = 0.0
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether somebody here answers calls."""
        return self.current is not None and self.current.open

    @property
    def changing(self) -> bool:
        """Whether one takes another's place."""
        return self.successor is not None or bool(self.leaving)

    def workers(self) -> Iterator[Worker]:
        """All that live, the one to go on last."""
        yield from self.leaving
        if self.successor is not None:
            yield self.successor
        if self.current is not None:
            yield self.current

    def hand_over(self, now_s: float) -> Worker:
        """From the current to the successor, which is open; who leaves."""
        assert self.current is not None
        assert self.successor is not None
        left = self.current
        left.drain(now_s)
        self.leaving.append(left)
        self.current, self.successor = self.successor, None
        return left
