"""Every order by the name a policy gives it; a new one is a file beside this and a line here."""

from collections.abc import Mapping

from nearcast_config.orders.draw import DRAW
from nearcast_config.orders.most import MOST
from nearcast_config.orders.nearest import NEAREST
from nearcast_config.orders.newest import NEWEST
from nearcast_config.orders.popular import POPULAR
from nearcast_config.orders.way import FeedOrder

ORDERS: Mapping[str, FeedOrder] = {
    "nearest": NEAREST,
    "newest": NEWEST,
    "most": MOST,
    "popular": POPULAR,
    "draw": DRAW,
}


def orders_told() -> str:
    """One sentence for the reference."""
    return "How items are ordered. " + "; ".join(f"{name}: {order.summary}" for name, order in ORDERS.items())
