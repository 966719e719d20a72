"""What an operator sets of segments: groups of people, by what the app knows of them."""

from typing import Annotated

from msgspec import Meta, Struct

SegmentName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Segments(Struct, frozen=True, forbid_unknown_fields=True):
    """Groups of people that have feed probabilities of their own; a request says to which it belongs."""

    names: Annotated[
        tuple[SegmentName, ...],
        Meta(max_length=16, description="Segments that requests may name; any other counts as none"),
    ] = ()
    parent_strength: Annotated[
        float,
        Meta(
            ge=0.1,
            le=100000,
            description="How many sessions of its own the market's experience is worth to a segment, at most",
        ),
    ] = 100.0
