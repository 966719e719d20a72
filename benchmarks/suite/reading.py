"""What a benchmark printed, as rows; the figures of Recommend are set beside each other here."""

from collections.abc import Mapping
from typing import Any

import msgspec

from benchmarks.goals import Row, at_least, at_most

RECOMMEND_DATA = "items around three points, seed 20260101; answers of 20 items"


def rows_of(name: str, figures: Mapping[str, Any]) -> list[Row]:
    """Those it printed."""
    if "rows" in figures:
        return msgspec.convert(figures["rows"], list[Row])
    if name == "recommend" and "medians" in figures:
        return recommend_rows({each["name"]: each for each in figures["medians"]})
    return []


def data_of(name: str, figures: Mapping[str, Any]) -> str:
    """What it was asked of."""
    return str(figures.get("data") or (RECOMMEND_DATA if name == "recommend" and figures else ""))


def recommend_rows(medians: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Beside the empty call and the plain way, from the replica."""
    if not {"empty call", "replica: anonymous, 400"} <= set(medians):
        return []
    rate = {name: each["calls_per_s"] for name, each in medians.items()}
    late = {name: each["open_p99_ms"] for name, each in medians.items()}
    asked = {size: f"replica: anonymous, {size}" for size in ("40", "400", "8,000")}
    signed_in = "replica: signed in, 400"
    empty = "empty call"
    return [
        at_least("calls/s, anonymous, 400 candidates", empty, rate[asked["400"]] / rate[empty], 0.80),
        at_most("p99, anonymous, 400 candidates", empty, late[asked["400"]] / late[empty], 1.5),
        at_least("calls/s, signed in, 400 candidates", empty, rate[signed_in] / rate[empty], 0.65),
        *(
            at_least(
                f"calls/s, {size} candidates",
                "plain way",
                rate[asked[size]] / rate[f"plain way, {size}"],
                goal,
            )
            for size, goal in (("400", 5.0), ("8,000", 20.0))
        ),
        at_most("p99, 8,000 candidates", "40 candidates", late[asked["8,000"]] / late[asked["40"]], 2.0),
    ]
