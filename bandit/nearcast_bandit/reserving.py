"""Which places of a slate are kept for newcomers, and which from them: settled before anything is drawn.

A place is decided by the request's seed and its number in the slate, counted over pages. So in every policy
the places of newcomers are at least the floor and at most the cap of all, on average over seeds, whatever the
draws come to; a page goes on as if the slate had been made at once.
"""

import numpy as np
from msgspec import Struct

from nearcast_bandit.arranging import SlotKind
from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.scoring import top_k
from nearcast_bandit.stream import stream_keys, uniforms, words

# No registered kind of event is negative, and the shuffle has -1: places share no words with a draw.
PLACE_KIND = -2
_KINDS = tuple(SlotKind)


class Budget(Struct, frozen=True):
    """The least and the greatest share of places that newcomers are given."""

    floor_share: float = 0.0
    cap_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.floor_share <= self.cap_share <= 1:
            raise ValueError(
                f"floor_share is {self.floor_share} and cap_share {self.cap_share};"
                " they must lie in [0, 1], the first not above the second"
            )

    @property
    def is_on(self) -> bool:
        """Whether there is anything that it keeps."""
        return self.floor_share > 0 or self.cap_share < 1

    def slots(self, seed: int, first: int, count: int) -> tuple[SlotKind, ...]:
        """The kind of each place, from the one numbered `first` (from 1) on."""
        places = np.arange(first, first + count, dtype=np.int64)
        units = uniforms(words(stream_keys(seed, places, PLACE_KIND), 0))
        kept_from = np.where(units >= self.cap_share, int(SlotKind.KNOWN), int(SlotKind.OPEN))
        kinds = np.where(units < self.floor_share, int(SlotKind.NEW), kept_from)
        return tuple(_KINDS[kind] for kind in kinds.tolist())


def best_of_both(scores: Floats, postings: Integers, is_new: Booleans, count: int) -> Integers:
    """Indices of so many of the best newcomers and so many of the best others, best first."""
    sides = (np.flatnonzero(is_new), np.flatnonzero(~is_new))
    best = np.concatenate([side[top_k(scores[side], postings[side], count)] for side in sides])
    return best[np.lexsort((postings[best], -scores[best]))]
