"""What an operator tunes of the places in a slate, after items were drawn."""

import re
from datetime import datetime
from functools import cached_property
from typing import Annotated

from msgspec import Meta, Struct, field

_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d))?$")


class Diversity(Struct, frozen=True, forbid_unknown_fields=True):
    """How many of one kind may stand close together in a slate; where nobody else is left, more do."""

    most_per_owner: Annotated[
        int,
        Meta(
            ge=0, le=200, description="Most items of one owner in any `window` slots in a row; 0 = any number"
        ),
    ] = 0
    most_per_category: Annotated[
        int,
        Meta(
            ge=0,
            le=200,
            description="Most items of one category in any `window` slots in a row; 0 = any number",
        ),
    ] = 0
    window: Annotated[
        int, Meta(ge=1, le=200, description="Slots in a row that the two are counted in, also across pages")
    ] = 10


class Pin(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """An item that stands at a slot, counted from 1, while it may be shown; empty times are no bounds."""

    item_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,128}$")]
    slot: Annotated[int, Meta(ge=1, le=200)]
    from_: str = field(name="from", default="")
    until: str = ""

    @cached_property
    def span(self) -> tuple[float, float]:
        """When it holds, in unix seconds: from the first, until before the second. Raises ValueError."""
        return (
            _seconds(self.from_, float("-inf")),
            _seconds(self.until, float("inf")),
        )

    def overlaps(self, other: "Pin") -> bool:
        """Whether there is a moment at which both hold."""
        return self.span[0] < other.span[1] and other.span[0] < self.span[1]


Pins = Annotated[
    tuple[Pin, ...],
    Meta(
        max_length=50,
        description="Items that stand at a slot whatever was drawn, each { item_id, slot, from, until }: "
        "slot counts from 1 over pages; from and until are times such as 2026-12-01T08:00:00Z, unset = "
        "always",
    ),
]


def _seconds(moment: str, otherwise: float) -> float:
    if not _MOMENT.match(moment):
        raise ValueError(moment)
    return datetime.fromisoformat(moment.upper()).timestamp() if moment else otherwise
