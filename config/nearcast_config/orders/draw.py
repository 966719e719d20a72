"""What may well be the best: a draw of every rate, so that little known items get their chance."""

from collections.abc import Mapping

from nearcast_config.orders.way import FeedOrder, Way


def _way(kind: str, weights: Mapping[str, float]) -> Way:  # noqa: ARG001 - of every kind
    return Way("draw", tuple((name, weight) for name, weight in weights.items() if weight > 0))


DRAW = FeedOrder("by the weighted sum of one Thompson draw for each kind", _way, weighs=True)
