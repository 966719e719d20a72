"""What a benchmark says of itself in one line: what, against what, their ratio, the goal, reached or not."""

from typing import Literal

from msgspec import Struct


class Row(Struct, frozen=True, omit_defaults=False):
    """`ratio` is that of what to what it is against; without a goal it is only told."""

    what: str
    against: str
    ratio: float
    goal: float | None = None
    bound: Literal["", "at least", "at most"] = ""
    reached: bool | None = None


def told(what: str, against: str, ratio: float) -> Row:
    """Without a goal."""
    return Row(what, against, ratio)


def at_least(what: str, against: str, ratio: float, goal: float) -> Row:
    """The more the better."""
    return Row(what, against, ratio, goal, "at least", ratio >= goal)


def at_most(what: str, against: str, ratio: float, goal: float) -> Row:
    """The less the better."""
    return Row(what, against, ratio, goal, "at most", ratio <= goal)
