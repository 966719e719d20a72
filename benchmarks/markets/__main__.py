"""Which of 900 markets a point lies in: the table beside the tree alone. `python -m benchmarks.markets`."""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import click
import msgspec
import numpy as np
import shapely

from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import Row, told
from benchmarks.markets.country import Country, make_country
from nearcast_geo.area import Area
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_geo.strips import UNSETTLED
from nearcast_geo.territories import NOWHERE, Territories

ROUNDS = 7
FEW = 20_000
AT_ONCE, TREE = "many at once", "STRtree with predicate, not prepared"
UNMEASURED = ("the gateway's call around the question", "markets of a real country: borders are made by seed")


class Way(msgspec.Struct, frozen=True):
    """One way to ask, and its median over the rounds."""

    way: str
    points: str
    ns_per_point: float


def _timed(run: Callable[[], object], points: int) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter_ns()
        run()
        times.append((time.perf_counter_ns() - started) / points)
    return median(times)


def _ways(territories: Territories, areas: list[Area], country: Country) -> list[Way]:
    lats, lons = country.requests
    strips = territories.strips
    assert strips is not None
    settled = strips.each(lats, lons) != UNSETTLED
    tree = shapely.STRtree([area.shape for area in areas])

    def one_by_one(chosen: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Way:
        some = list(zip(lats[chosen][:FEW].tolist(), lons[chosen][:FEW].tolist(), strict=True))
        told = "settled" if chosen is settled else "near a border" if not settled[chosen].any() else "all"
        ns = _timed(lambda: [territories.at(lat, lon) for lat, lon in some], len(some))
        return Way("one by one", told, ns)

    every = np.ones(len(lats), dtype=np.bool_)
    points = shapely.points(lons, lats)
    return [
        one_by_one(every),
        one_by_one(settled),
        one_by_one(~settled),
        Way(AT_ONCE, "all", _timed(lambda: territories.each(lats, lons), len(lats))),
        Way(
            "many at once, without the table",
            "all",
            _timed(lambda: territories.exactly(lats, lons), len(lats)),
        ),
        Way(
            TREE,
            "all",
            _timed(lambda: tree.query(points, predicate="intersects"), len(lats)),
        ),
    ]


def judged(ways: Sequence[Way]) -> list[Row]:
    """No goal: the tree alone is what the table came from."""
    ns = {way.way: way.ns_per_point for way in ways}
    return [told("market of a point, many at once", "STRtree alone", ns[AT_ONCE] / ns[TREE])]


@click.command()
@click.option("--markets", default=900, show_default=True, help="How many.")
@click.option("--points", default=100_000, show_default=True, help="Points of requests.")
@click.option("--seed", default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def main(markets: int, points: int, seed: int, as_json: bool) -> None:
    """Draw markets, look points up, compare."""
    progress("drawing a country")
    country = make_country(markets, points, seed)
    started = time.perf_counter()
    areas = [read_area(text, MARKET_LIMITS) for text in country.geometries]
    read_s = time.perf_counter() - started
    builds, territories = [], Territories([])
    for _ in range(3):
        started = time.perf_counter()
        territories = Territories(areas)
        builds.append(time.perf_counter() - started)
    strips = territories.strips
    assert strips is not None
    lats, lons = country.requests
    found = territories.each(lats, lons)
    assert (found == territories.exactly(lats, lons)).all()
    ways = _ways(territories, areas, country)
    positions = sum(shapely.get_num_coordinates(area.shape) for area in areas)
    facts = {
        "markets": len(areas),
        "positions": int(positions),
        "read_s": round(read_s, 3),
        "build_s": round(median(builds), 3),
        "cells_per_degree": strips.per_degree,
        "runs": len(strips.starts),
        "table_mb": round((strips.starts.nbytes + strips.values.nbytes) * 2 / 1e6, 1),
        "points": len(lats),
        "points_in_a_market": round(float((found != NOWHERE).mean()), 4),
        "points_settled_by_the_table": round(float((strips.each(lats, lons) != UNSETTLED).mean()), 4),
    }
    if not as_json:
        print_table("Markets", ("what", "value"), list(facts.items()))
        rows = [(way.way, way.points, f"{way.ns_per_point:,.0f}") for way in ways]
        print_table("Looking points up", ("way", "points", "ns per point"), rows)
    data = f"{len(areas):,} markets, {len(lats):,} points around their towns (Zipf), seed {seed}"
    finish(as_json, {"rows": judged(ways), "data": data, **facts, "ways": ways}, UNMEASURED)


if __name__ == "__main__":
    sys.exit(main())
