"""How far an evaluation is, told now and then on the way."""

from collections.abc import Callable
from typing import Literal

Stage = Literal["reading", "judging"]
Noticed = Callable[[Stage, int, int], None]
"""Takes the stage, how many decisions are done, and of how many."""

_FIRST_AFTER_S = 3.0
_EVERY_S = 15.0


class Spoken:
    """A line now and then, for where no bar can be drawn; `clock` is in seconds and never goes back."""

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float]) -> None:
        self._say = say
        self._clock = clock
        self._stage = ""
        self._begun = 0.0
        self._next = 0.0

    def __call__(self, stage: Stage, done: int, most: int) -> None:
        """Say it when it is time to."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._begun, self._next = stage, now, now + _FIRST_AFTER_S
        if now >= self._next and done < most:
            self._next = now + _EVERY_S
            left_s = (now - self._begun) / done * (most - done) if done else 0.0
            # Reading ends as soon as enough can be judged.
            told = f", about {duration(left_s)} left" if stage == "judging" and done else ""
            self._say(f"{stage}: {done} of {most} decisions{told}")


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{seconds / 3600:.1f} h"
