"""How much of what is sent is taken: all of it, in smaller batches, or nothing for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from nearcast_config.process import Admission
from nearcast_server.recording import MOST_EVENTS

FEWEST_EVENTS = 50
STEP_EVENTS = 25
REOPENS_AT = 0.8
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
DOUBLED_EVERY = 0.2
JITTER = 0.5


class Level(IntEnum):
    """The steps of the ladder."""

    OPEN = 0
    NARROW = 1
    CLOSED = 2


@dataclass(frozen=True, slots=True)
class Span:
    """From where a reading presses to where nothing more is taken."""

    narrow: float
    close: float

    def pressure(self, reading: float) -> float:
        """0 up to the beginning, 1 at the end, and more beyond."""
        return max(0.0, (reading - self.narrow) / (self.close - self.narrow))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the ladder stands; `cause` names the reading that presses most, empty when none does."""

    level: Level = Level.OPEN
    pressure: float = 0.0
    cause: str = ""
    advised_events: int = MOST_EVENTS

    def told(self) -> str:
        """In words for operators; "" while everything is taken."""
        match self.level:
            case Level.NARROW:
                why = f" ({self.cause})" if self.cause else ", on its way back to open"
                return f"admission is narrow{why}: batches of {self.advised_events} events are advised"
            case Level.CLOSED:
                return f"admission is closed ({self.cause}): events are sent away with INGEST_OVERLOADED"
        return ""


def spans_of(limits: Admission) -> dict[str, Span]:
    """From where to where each reading presses, as it is set."""
    return {
        "backlog": Span(limits.narrow_backlog_s, limits.close_backlog_s),
        "memory": Span(limits.narrow_memory_share, limits.close_memory_share),
        "append": Span(limits.narrow_append_s, limits.close_append_s),
    }


def next_standing(before: Standing, readings: Mapping[str, float], spans: Mapping[str, Span]) -> Standing:
    """Batches shrink at once and grow by steps; what was closed opens only well below where it closed."""
    pressures = {name: spans[name].pressure(reading) for name, reading in readings.items()}
    cause = max(pressures, key=lambda name: pressures[name], default="")
    pressure = pressures.get(cause, 0.0)
    cause = cause if pressure > 0 else ""
    if pressure >= 1 or (before.level is Level.CLOSED and pressure > REOPENS_AT):
        return Standing(Level.CLOSED, pressure, cause, FEWEST_EVENTS)
    bearable = round(MOST_EVENTS - (MOST_EVENTS - FEWEST_EVENTS) * pressure)
    advised = min(bearable, before.advised_events + STEP_EVENTS)
    level = Level.OPEN if advised == MOST_EVENTS else Level.NARROW
    return Standing(level, pressure, cause, advised)


def retry_after_s(pressure: float, chance: float) -> float:
    """When to come again: later the greater the pressure, and not all at once; `chance` is in [0, 1)."""
    doublings = min(max(pressure - 1.0, 0.0) / DOUBLED_EVERY, 10.0)
    return float(min(FIRST_RETRY_S * 2.0**doublings, LONGEST_RETRY_S) * (1.0 + JITTER * chance))
