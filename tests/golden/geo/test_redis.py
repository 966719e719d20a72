"""What the server itself says: the figures that ours are held against, and where it is wrong."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import redis

from nearcast_geo.distance import distance_m, distances_m
from nearcast_geo.geohash import decode, encode
from nearcast_geo.point import Point
from tests.golden.geo.tclrandom import Searched, searched_worlds
from tests.golden.geo.worlds import (
    AROUND,
    AT_THE_LIMIT,
    BARCELONA,
    DATE_LINE,
    FAR_SOUTH,
    HIGH,
    HIGHER,
    MIDTOWN,
    NEW_YORK,
    NORTHWARD,
    OPEN_SEA,
    ORIGIN,
    OVER_THE_POLE,
    PACIFIC,
    PARIS,
    SAN_FRANCISCO,
    SICILY,
    Members,
    Position,
)

KEY = "world"
Ask = Callable[..., Any]


@pytest.fixture
def ask(redis_url: str) -> Iterator[Ask]:
    """Replies as they come, texts as texts."""
    with redis.Redis.from_url(redis_url, protocol=2, decode_responses=True) as client:
        client.response_callbacks.clear()
        yield client.execute_command


def store(ask: Ask, members: Members) -> None:
    pairs = [each for name, (lon, lat) in members.items() for each in (repr(lon), repr(lat), name)]
    assert ask("GEOADD", KEY, *pairs) == len(members)


def within(ask: Ask, center: Position | str, *circle: Any) -> Any:
    start = ("FROMMEMBER", center) if isinstance(center, str) else ("FROMLONLAT", *map(repr, center))
    return ask("GEOSEARCH", KEY, *start, *circle)


@pytest.mark.parametrize(
    ("unit", "said"), [("m", "166274.1516"), ("km", "166.2742"), ("mi", "103.3182"), ("ft", "545518.8700")]
)
def test_a_distance_in_each_unit(ask: Ask, unit: str, said: str) -> None:
    store(ask, SICILY)
    assert ask("GEODIST", KEY, "Palermo", "Catania", unit) == said
    assert ask("GEODIST", KEY, "Palermo", "Palermo", unit) == "0.0000"
    metres = distance_m(*(decode(encode(lat, lon)) for lon, lat in (SICILY["Palermo"], SICILY["Catania"])))
    per_unit = {"m": 1.0, "km": 1000.0, "mi": 1609.34, "ft": 0.3048}[unit]
    assert f"{metres / per_unit:.4f}" == said


@pytest.mark.parametrize(
    ("name", "place", "geohash", "score"),
    [
        ("Palermo", SICILY["Palermo"], "sqc8b49rny0", 3479099956230698),
        ("Catania", SICILY["Catania"], "sqdtr74hyu0", 3479447370796909),
        ("place1", BARCELONA["place1"], "sp3e9yg3kd0", 3471609698139488),
        ("place2", BARCELONA["place2"], "sp3e9cbc3t0", 3471609625421029),
        ("wiki", (-5.6, 42.6), "ezs42e44yx0", None),
        ("origin", (0.0, 0.0), "s000000000", 3377699720527872),
        ("negative zero", (-0.0, -0.0), "s000000000", 3377699720527872),
    ],
)
def test_a_cell_by_its_name_and_score(
    ask: Ask, name: str, place: Position, geohash: str, score: int | None
) -> None:
    store(ask, {name: place})
    assert ask("GEOHASH", KEY, name)[0].startswith(geohash)
    held = int(ask("ZSCORE", KEY, name))
    assert held == (score or held) == encode(place[1], place[0])


@pytest.mark.parametrize(
    ("place", "held"),
    [
        (SICILY["Palermo"], ("13.36138933897018433", "38.11555639549629859")),
        (SICILY["Catania"], ("15.08726745843887329", "37.50266842333162032")),
        ((0.0, 0.0), ("0.00000268220901489", "0.00000126736058093")),
        ((2.0, 48.0), ("2.00000256299972534", "48.00000065343533606")),
    ],
)
def test_a_position_is_the_middle_of_its_cell(ask: Ask, place: Position, held: tuple[str, str]) -> None:
    store(ask, {"it": place})
    (said,) = ask("GEOPOS", KEY, "it")
    assert [float(each) for each in said] == pytest.approx([float(each) for each in held], abs=1e-15)
    ours = decode(encode(place[1], place[0]))
    assert (ours.lon, ours.lat) == pytest.approx([float(each) for each in said], abs=1e-14)


def test_scores_order_a_town_as_its_cells_lie(ask: Ask) -> None:
    store(ask, NEW_YORK)
    order = ["wtc one", "union square", "central park n/q/r", "4545", "lic market", "q4", "jfk"]
    assert ask("ZRANGE", KEY, 0, -1) == order
    assert sorted(NEW_YORK, key=lambda name: encode(*reversed(NEW_YORK[name]))) == order


def test_a_stored_distance_has_all_its_digits(ask: Ask) -> None:
    store(ask, BARCELONA)
    start = ("FROMLONLAT", 2.191, 41.433, "BYRADIUS", 1000, "m")
    assert ask("GEOSEARCHSTORE", "near", KEY, *start, "STOREDIST") == 1
    name, metres = ask("ZRANGE", "near", 0, -1, "WITHSCORES")
    assert name == "place1"
    assert float(metres) == pytest.approx(88.050606984093008, abs=1e-9)
    assert distance_m(Point(41.433, 2.191), decode(encode(*reversed(BARCELONA["place1"])))) == pytest.approx(
        float(metres), abs=1e-7
    )


Found = Sequence[tuple[str, str]]
MIDTOWN_3_KM = [("central park n/q/r", "0.7750"), ("4545", "2.3651"), ("union square", "2.7697")]
MIDTOWN_30_KM = [*MIDTOWN_3_KM, ("lic market", "3.1991"), ("q4", "3.7269"), ("wtc one", "5.9530")]
IN_PARIS = ["east, inside", "north, inside"]
CORNERS: Members = {
    "edge1": (12.758489, 38.788135),
    "edge2": (17.241510, 38.788135),
    "edge3": (17.250000, 35.202000),
    "edge4": (12.750000, 35.202000),
    "edge5": (12.748489955781654, 37.0),
    "edge6": (15.0, 38.798135872540925),
    "edge7": (17.251510044218346, 37.0),
    "edge8": (15.0, 35.201864127459075),
}
SEARCHES: dict[str, tuple[Members, Position | str, tuple[object, ...], Found]] = {
    "3 km": (NEW_YORK, MIDTOWN, ("BYRADIUS", 3, "km"), MIDTOWN_3_KM),
    "30 km": (NEW_YORK, MIDTOWN, ("BYRADIUS", 30, "km"), [*MIDTOWN_30_KM, ("jfk", "20.8995")]),
    "a box of 6 km": (NEW_YORK, MIDTOWN, ("BYBOX", 6, 6, "km"), MIDTOWN_30_KM[:4]),
    "200 km": (
        SICILY,
        (15.0, 37.0),
        ("BYRADIUS", 200, "km"),
        [("Catania", "56.4413"), ("Palermo", "190.4424")],
    ),
    "a box of 400 km": (
        SICILY,
        (15.0, 37.0),
        ("BYBOX", 400, 400, "km"),
        [("Catania", "56.4413"), ("Palermo", "190.4424"), ("edge2", "279.7403"), ("edge1", "279.7405")],
    ),
    "the corners of a box": (
        CORNERS,
        (15.0, 37.0),
        ("BYBOX", 400, 400, "km"),
        [("edge7", "199.9953"), ("edge5", "199.9955"), ("edge2", "279.7403"), ("edge1", "279.7405")],
    ),
    "miles": (
        SAN_FRANCISCO,
        SAN_FRANCISCO["1"],
        ("BYRADIUS", 30, "mi"),
        [("1", "0.0001"), ("2", "9.8182")],
    ),
    "a slanting circle at 85": (
        HIGH,
        "n1",
        ("BYRADIUS", 4891.94, "m"),
        [("n1", "0.0000"), ("n2", "4891.9380")],
    ),
    "a slanting circle above 85": (
        HIGHER,
        "n3",
        ("BYRADIUS", 156544, "m"),
        [("n3", "0.0000"), ("n4", "155848.3353")],
    ),
    "from 65 to 85": (
        NORTHWARD,
        "n5",
        ("BYRADIUS", 5009431, "m"),
        [("n5", "0.0000"), ("n6", "3136004.8437")],
    ),
    "over the pole": (
        OVER_THE_POLE,
        "n1",
        ("BYRADIUS", 5009431, "m"),
        [("n1", "0.0000"), ("n2", "3331227.6970")],
    ),
    "the date line from the west": (
        PACIFIC,
        (179.0, 37.0),
        ("BYBOX", 400, 400, "km"),
        [("point1", "119.8737"), ("point2", "174.2313")],
    ),
    "the date line from the east": (
        PACIFIC,
        (-179.0, 37.0),
        ("BYBOX", 400, 400, "km"),
        [("point2", "119.8737"), ("point1", "174.2313")],
    ),
    "around the earth": (FAR_SOUTH, (0.0, 0.0), ("BYRADIUS", 50_000, "km"), [("user", "7431.6774")]),
    "4,000 km": (
        OPEN_SEA,
        (20.0, 20.0),
        ("BYRADIUS", 4000, "km"),
        [("2", "152.8519"), ("3", "896.1980"), ("5", "1449.3384"), ("1", "2327.7727"), ("4", "3228.3132")],
    ),
    "the edge at the origin": (
        ORIGIN,
        (0.0, 0.0),
        ("BYRADIUS", 5, "km"),
        [("east", "4.9938"), ("at the edge", "4.9956")],
    ),
}


@pytest.mark.parametrize(("members", "center", "circle", "found"), SEARCHES.values(), ids=SEARCHES)
def test_a_search_tells_whom_it_finds_and_how_far(
    ask: Ask, members: Members, center: Position | str, circle: tuple[object, ...], found: Found
) -> None:
    store(ask, members)
    assert within(ask, center, *circle, "ASC", "WITHDIST") == [list(each) for each in found]


@pytest.mark.parametrize("circle", [(5, "km"), (5000, "m"), (16404.2, "ft"), (3.10686, "mi"), (5, "KM")])
def test_five_kilometres_are_the_same_in_any_unit(ask: Ask, circle: tuple[float, str]) -> None:
    store(ask, PARIS)
    assert within(ask, (2.35, 48.85), "BYRADIUS", *circle, "ASC") == IN_PARIS
    others = [ask("GEODIST", KEY, name, "centre") for name in PARIS]
    assert others == [None] * 4
    ask("GEOADD", KEY, 2.35, 48.85, "centre")
    assert ask("GEODIST", KEY, "north, outside", "centre") == "5005.3436"
    assert ask("GEODIST", KEY, "east, outside", "centre") == "5006.3563"


def test_count_keeps_the_nearest_and_any_does_not(ask: Ask) -> None:
    store(ask, NEW_YORK)
    ten_km = ("BYRADIUS", 10, "km", "COUNT")
    assert within(ask, MIDTOWN, *ten_km, 3) == [name for name, _ in MIDTOWN_3_KM]
    assert within(ask, MIDTOWN, *ten_km, 2, "DESC") == ["wtc one", "q4"]
    assert within(ask, MIDTOWN, *ten_km, 3, "ANY") == ["wtc one", "union square", "central park n/q/r"]


def test_members_at_one_point_come_all(ask: Ask) -> None:
    store(ask, dict.fromkeys("cab", (37.0, 15.0)))
    assert sorted(within(ask, (37.0, 15.0), "BYRADIUS", 1, "km", "ASC")) == ["a", "b", "c"]


def test_a_circle_smaller_than_half_a_cell_misses_what_is_in_its_middle(ask: Ask) -> None:
    store(ask, {"place": (2.0, 48.0)})
    for radius_m in (0, 0.2):
        assert within(ask, (2.0, 48.0), "BYRADIUS", radius_m, "m") == []
    assert within(ask, (2.0, 48.0), "BYRADIUS", 1, "m", "WITHDIST") == [["place", "0.2041"]]
    assert within(ask, "place", "BYRADIUS", 0, "m") == ["place"]


def test_a_radius_without_end_finds_everyone(ask: Ask) -> None:
    store(ask, NEW_YORK)
    assert sorted(within(ask, (0.0, 0.0), "BYRADIUS", "inf", "m")) == sorted(NEW_YORK)


def test_from_plus_180_one_side_is_missing(ask: Ask) -> None:
    store(ask, DATE_LINE)
    both = within(ask, (-180.0, 0.0), "BYRADIUS", 5, "km", "WITHDIST")
    assert sorted(both) == [["east", "1.1125"], ["west", "1.1125"]]
    assert within(ask, (180.0, 0.0), "BYRADIUS", 5, "km") == ["west"]


def test_a_member_at_plus_180_is_in_a_cell_that_nobody_looks_into(ask: Ask) -> None:
    store(ask, {"line": (180.0, 0.0), "beside": (179.9999, 0.0)})
    assert int(ask("ZSCORE", KEY, "line")) == 10133099161583616 > 2**53
    assert ask("GEODIST", KEY, "line", "beside") == "11.0383"
    assert within(ask, (179.9999, 0.0), "BYRADIUS", 1, "km") == ["beside"]
    assert encode(0.0, 180.0) < 2**52


def test_a_member_at_the_northern_limit_is_missed_from_three_metres_away(ask: Ask) -> None:
    store(ask, AT_THE_LIMIT)
    assert ask("GEODIST", KEY, "edge", "below") == "3.2422"
    assert within(ask, AT_THE_LIMIT["below"], "BYRADIUS", 10, "m") == ["below"]


def test_of_four_around_the_pole_the_one_across_it_is_missing(ask: Ask) -> None:
    store(ask, AROUND)
    assert ask("GEODIST", KEY, "0", "180") == "1100889.2700"
    assert sorted(within(ask, AROUND["0"], "BYRADIUS", 1101, "km")) == ["-90", "0", "90"]


@pytest.mark.parametrize("lat", ["85.06", "-85.06"])
def test_a_latitude_beyond_85_is_refused(ask: Ask, lat: str) -> None:
    with pytest.raises(redis.ResponseError, match="invalid longitude,latitude pair"):
        ask("GEOADD", KEY, "10", lat, "x")


@pytest.mark.parametrize(
    "pair", [("180.0001", "0"), ("inf", "0"), ("nan", "0"), ("0", "nan"), ("1e400", "0"), ("foo", "0")]
)
def test_what_is_no_pair_is_refused_and_nothing_is_stored(ask: Ask, pair: tuple[str, str]) -> None:
    for pairs in ((*pair, "x"), ("1", "1", "good", *pair, "x")):
        with pytest.raises(redis.ResponseError, match="valid"):
            ask("GEOADD", KEY, *pairs)
        assert ask("EXISTS", KEY) == 0


def test_a_pair_that_was_swapped_is_taken(ask: Ask) -> None:
    assert ask("GEOADD", KEY, "40.7", "-73.9", "new york, they said") == 1


@pytest.mark.parametrize(
    "circle",
    [
        ("BYRADIUS", -1, "m"),
        ("BYRADIUS", "nan", "m"),
        ("BYRADIUS", 1, "parsec"),
        ("BYRADIUS", 1, "m", "COUNT", 0),
        ("BYRADIUS", 1, "m", "COUNT", -1),
        ("BYRADIUS", 1, "m", "ANY"),
    ],
    ids=str,
)
def test_what_is_no_circle_is_refused(ask: Ask, circle: tuple[object, ...]) -> None:
    store(ask, NEW_YORK)
    with pytest.raises(redis.ResponseError):
        within(ask, MIDTOWN, *circle)


def test_a_key_that_is_not_there_is_empty_and_a_member_that_is_not_an_error(ask: Ask) -> None:
    assert within(ask, "nobody", "BYRADIUS", 1, "m") == []
    assert within(ask, (0.0, 0.0), "BYRADIUS", 1, "m") == []
    store(ask, NEW_YORK)
    with pytest.raises(redis.ResponseError):
        within(ask, "nobody", "BYRADIUS", 1, "m")


def test_a_member_put_again_moves_and_the_last_one_takes_the_key_away(ask: Ask) -> None:
    put = ["GEOADD", KEY]
    assert [ask(*put, 5, 5, "a"), ask(*put, 5, 5, "a"), ask(*put, 6, 6, "a")] == [1, 0, 0]
    assert [ask(*put, "CH", 7, 7, "a"), ask(*put, "CH", 7, 7, "a")] == [1, 0]
    assert [ask(*put, "NX", 8, 8, "a"), ask(*put, "XX", 8, 8, "b"), ask("ZCARD", KEY)] == [0, 0, 1]
    assert within(ask, (7.0, 7.0), "BYRADIUS", 1, "m") == ["a"]
    assert [ask("ZREM", KEY, "a"), ask("EXISTS", KEY)] == [1, 0]


@pytest.mark.parametrize("searched", searched_worlds(), ids=lambda searched: searched.name)
def test_a_search_that_once_lost_somebody_is_right_up_to_its_cells(ask: Ask, searched: Searched) -> None:
    lats, lons = searched.points()
    rows = zip(lons.tolist(), lats.tolist(), range(len(lats)), strict=True)
    ask("GEOADD", KEY, *(each for row in rows for each in row))
    center = (searched.center.lon, searched.center.lat)
    found = {int(name) for name in within(ask, center, "BYRADIUS", searched.radius_m, "m")}
    away_m = distances_m(searched.center.lat, searched.center.lon, lats, lons)
    inside = set(np.flatnonzero(away_m <= searched.radius_m).tolist())
    assert inside
    assert all(abs(away_m[n] - searched.radius_m) < 0.4 for n in found ^ inside)
