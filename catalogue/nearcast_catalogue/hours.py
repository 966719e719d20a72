"""Opening hours that repeat every week, read off the clock on the wall.

When that clock is put forward the hour it skips does not exist; when it is put back, the hour it shows twice
counts twice.
"""

import math
from datetime import datetime
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

import msgspec

DAY_MINUTES = 1440
WEEK_MINUTES = 7 * DAY_MINUTES


class OpeningInterval(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One stretch of opening time: day 0 is Monday, minutes count from its midnight on, past 1440 too."""

    day: int
    opens_minute: int
    closes_minute: int


class WeeklyHours(msgspec.Struct, frozen=True, gc=False):
    """When something is open; no interval at all means never."""

    time_zone: str
    intervals: tuple[OpeningInterval, ...] = ()


def is_open_at(hours: WeeklyHours, minute: int) -> bool:
    """Return whether it is open at a local minute of the week; the closing minute is closed."""
    for interval in hours.intervals:
        since_opening = (minute - interval.day * DAY_MINUTES - interval.opens_minute) % WEEK_MINUTES
        if since_opening < interval.closes_minute - interval.opens_minute:
            return True
    return False


def minute_of_week(time_zone: str, unix_s: float) -> int:
    """Return what the wall clock of a known zone shows, as minutes since Monday's midnight."""
    local = datetime.fromtimestamp(math.floor(unix_s), _zone(time_zone))
    return local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute


def is_time_zone(name: str) -> bool:
    """Return whether the IANA database has the zone, whatever the host's own list says."""
    return name in _zone_names()


@cache
def _zone(time_zone: str) -> ZoneInfo:
    return ZoneInfo(time_zone)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split()) - {"Factory"}
