"""What people do one thing with most, of those who see it."""

from collections.abc import Mapping

from nearcast_config.orders.way import FeedOrder, Way


def _way(kind: str, weights: Mapping[str, float]) -> Way:  # noqa: ARG001 - of one kind alone
    return Way("most", ((kind, 1.0),))


MOST = FeedOrder("by the rate of events of `kind`, as believed on average", _way, names_kind=True)
