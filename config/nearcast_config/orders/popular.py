"""What people do most with, of those who see it, all that counts taken together.

By rates, not by how often: what was shown most would be done most with, and so be shown most.
"""

from collections.abc import Mapping

from nearcast_config.orders.way import FeedOrder, Way


def _way(kind: str, weights: Mapping[str, float]) -> Way:  # noqa: ARG001 - of every kind
    return Way("most", tuple((name, weight) for name, weight in weights.items() if weight > 0))


POPULAR = FeedOrder(
    "by the weighted sum of the rates of all kinds, as believed on average: `draw` without drawing",
    _way,
    weighs=True,
)
