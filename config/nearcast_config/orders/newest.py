"""The newest first."""

from collections.abc import Mapping

from nearcast_config.orders.way import FeedOrder, Way


def _way(kind: str, weights: Mapping[str, float]) -> Way:  # noqa: ARG001 - whatever people did
    return Way("newest")


NEWEST = FeedOrder("by the beginning of the item's life, the latest first", _way)
