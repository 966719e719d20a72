"""What keepers may die of is handed out alone, so that what lies beside it is neither held up nor blamed."""

from collections.abc import Callable, Sequence
from typing import TypeVar

ALONE_AFTER = 8
"""So often handed out and never acknowledged: somebody died with the entry in hand, of it or beside it."""

Pending = TypeVar("Pending")


def handed_out_together(pending: Sequence[Pending], deliveries: Callable[[Pending], int]) -> list[Pending]:
    """Which of these to hand out now: all that are above suspicion, and else one, handed out least so far.

    A keeper that dies raises the deliveries of all it has in hand. With one in hand, the innocent ones are
    folded one after the other, and only the deliveries of the guilty one go on rising.
    """
    trusted = [each for each in pending if deliveries(each) < ALONE_AFTER]
    return trusted or sorted(pending, key=deliveries)[:1]
