"""What a gateway counts of new items' places and of caps."""

from nearcast_telemetry.declaration import Metric

SERVER_PLACES = Metric(
    "server",
    "places_total",
    "counter",
    "Places of answers by whether a new item stands there, while a policy keeps places for new items or from"
    " them.",
    {"kind": ("new", "known")},
)
SERVER_CAPPED_ITEMS = Metric(
    "server",
    "capped_items",
    "gauge",
    "Items that pause because they were shown often enough within the hour: for themselves, or only because"
    " all of their owner do.",
    {"reason": ("item", "owner")},
    across="largest",
)
BUDGET_METRICS = (SERVER_PLACES, SERVER_CAPPED_ITEMS)
