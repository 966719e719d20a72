"""The nearest first."""

from collections.abc import Mapping

from nearcast_config.orders.way import FeedOrder, Way


def _way(kind: str, weights: Mapping[str, float]) -> Way:  # noqa: ARG001 - whatever people did
    return Way("nearest")


NEAREST = FeedOrder("by distance", _way)
