"""The name of a decision: a UUIDv7 whose time is the server's."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from uuid import UUID

_RANDOM_BITS = 74
_RANDOM_BYTES = 10
_SPARE_BITS = 8 * _RANDOM_BYTES - _RANDOM_BITS
_LOW_BITS = 62
_STEP_BYTES = 4
_VERSION_AND_VARIANT = (7 << 76) | (2 << _LOW_BITS)
_VERSION_AND_VARIANT_BITS = (15 << 76) | (3 << _LOW_BITS)
_MS_PER_HOUR = 3_600_000
_MS_PER_DAY = 24 * _MS_PER_HOUR


class RequestIds:
    """Mints ids that rise strictly within a process, also when its clock steps back.

    `clock_ms` gives milliseconds since the Unix epoch, `random_bytes(n)` n unpredictable bytes.
    """

    def __init__(self, clock_ms: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._clock_ms = clock_ms
        self._random_bytes = random_bytes
        self._last_ms = -1
        self._last_random = 0

    def next(self) -> UUID:
        """One more id."""
        now_ms = self._clock_ms()
        if now_ms > self._last_ms:
            self._start(now_ms)
        else:
            self._advance()
        return uuid7(self._last_ms, self._last_random)

    def _start(self, now_ms: int) -> None:
        self._last_ms = now_ms
        self._last_random = int.from_bytes(self._random_bytes(_RANDOM_BYTES)) >> _SPARE_BITS

    def _advance(self) -> None:
        """Stay in the last millisecond with a larger random part; borrow the next one when that is full."""
        self._last_random += 1 + int.from_bytes(self._random_bytes(_STEP_BYTES))
        if self._last_random >> _RANDOM_BITS:
            self._start(self._last_ms + 1)


def uuid7(time_ms: int, distinct: int) -> UUID:
    """The id of a moment since 1970; `distinct` are 74 bits that tell it from others of that moment."""
    high, low = divmod(distinct, 1 << _LOW_BITS)
    return UUID(int=(time_ms << 80) | (high << 64) | low | _VERSION_AND_VARIANT)


def parse_uuid(text: str) -> UUID | None:
    """The UUID of the 36-character form in either case; None for anything else, such as braces or a URN."""
    if len(text) != 36:
        return None
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


@lru_cache(maxsize=4096)
def uuid_of(raw: bytes) -> UUID:
    """The UUID of 16 bytes; remembered, as the events of a slate share theirs."""
    return UUID(bytes=raw)


def is_uuid7(value: UUID) -> bool:
    """Whether the id carries its time."""
    return value.int & _VERSION_AND_VARIANT_BITS == _VERSION_AND_VARIANT


def uuid7_ms(value: UUID) -> int:
    """The id's time in milliseconds since the Unix epoch."""
    return value.int >> 80


def identity_day(value: UUID) -> date:
    """The UTC day of the id's time; an id judged against the horizon always has one."""
    return _day(uuid7_ms(value) // _MS_PER_DAY)


def hour_bucket(value: UUID) -> int:
    """Whole hours from the Unix epoch to the id's time."""
    return uuid7_ms(value) // _MS_PER_HOUR


@lru_cache(maxsize=64)
def _day(days: int) -> date:
    return datetime.fromtimestamp(days * _MS_PER_DAY // 1000, UTC).date()
