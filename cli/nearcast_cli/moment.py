"""TIME on the command line: a date with a time, or how long ago."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
EXAMPLE = "2026-09-21T10:00:00Z, or how long ago: 90s, 30m, 2h, 3d"


class Moment(click.ParamType[int]):
    """Milliseconds since the Unix epoch; a time without a zone is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The moment that the text names."""
        if isinstance(value, int):
            return value
        ago = _AGO.fullmatch(value)
        if ago is not None:
            return max(0, int((time.time() - float(ago[1]) * _SECONDS[ago[2]]) * 1000))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write {EXAMPLE}", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment.timestamp() < 0:
            self.fail(f"{value!r} lies before 1970", param, ctx)
        return int(moment.timestamp() * 1000)


def shown(ms: int) -> str:
    """The moment as this type reads it again."""
    return stamp(datetime.fromtimestamp(ms / 1000, UTC), "milliseconds")


def stamp(moment: datetime, timespec: str = "seconds") -> str:
    """As RFC 3339 in UTC, the one form in which commands write times."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
