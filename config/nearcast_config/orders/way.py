"""What an order of items comes to in the end, and what may be said of an order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

# What machine code, its twin, the index path and a replay all know how to go by: the distance, the beginning
# of an item's life, the weighted sum of the mean rates of some kinds, or of one draw of each of them.
By = Literal["nearest", "newest", "most", "draw"]
Need = Literal["person", "market"]


class Way(Struct, frozen=True):
    """What items are ordered by; `weights` are those of the kinds that count."""

    by: By
    weights: tuple[tuple[str, float], ...] = ()

    @property
    def steady(self) -> "Way":
        """The same without draws: what would be drawn is its mean."""
        return Way("most", self.weights) if self.by == "draw" else self


@dataclass(frozen=True, slots=True)
class FeedOrder:
    """One order: its `way` follows from the feed's `kind` and the weights of the policy's kinds.

    `names_kind`: a feed must name one. `weighs`: it is nothing without a kind of weight above 0. `needs`:
    what has to be known of a request before such a feed can be given to it.
    """

    summary: str
    way: Callable[[str, Mapping[str, float]], Way]
    names_kind: bool = False
    weighs: bool = False
    needs: tuple[Need, ...] = ()
