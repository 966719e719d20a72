"""What the feeds of a policy go by."""

from nearcast_config.orders.registry import ORDERS
from nearcast_config.orders.way import Way
from nearcast_config.policy import Policy


def way_of(policy: Policy, feed: str, *, by_mean: bool = False) -> Way:
    """Of one feed; `by_mean`: without draws."""
    named = policy.feeds[feed]
    way = ORDERS[named.order].way(named.kind, {name: kind.weight for name, kind in policy.kinds.items()})
    return way.steady if by_mean else way
