"""Places of a slate on the command line, such as 0,1,4 or 0-9."""

import re
from typing import Any

import click

from nearcast_ledger.seen import MOST_SLATE_ITEMS

_PART = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")


class Places(click.ParamType[tuple[int, ...]]):
    """Places from 0, in ascending order."""

    name = "places"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Fails with what is wrong and how it is written."""
        if isinstance(value, tuple):
            return value
        places: set[int] = set()
        for part in value.split(","):
            found = _PART.fullmatch(part.strip())
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
            if not first <= last < MOST_SLATE_ITEMS:
                self.fail(
                    f"{part!r} is no place from 0 to {MOST_SLATE_ITEMS - 1}; write 0,1,4 or 0-9", param, ctx
                )
            places.update(range(first, last + 1))
        return tuple(sorted(places))


class Milliseconds(click.ParamType[tuple[int, ...]]):
    """Whole numbers of milliseconds, such as 1200,300."""

    name = "milliseconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Fails with what is wrong and how it is written."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in value.split(",")]
        if not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
            self.fail(f"{value!r} are no milliseconds; write 1200,300", param, ctx)
        return tuple(int(part) for part in parts)
