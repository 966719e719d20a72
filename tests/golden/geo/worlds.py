"""Small worlds that others have published with their answers: who is inside a circle, and how far away.

Positions are (longitude, latitude), as in the texts they come from. Metres are those that Redis says, which
measures to the middle of a cell and prints kilometres to 0.1 m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point, normalise
from tests.servedworlds import served

Position = tuple[float, float]
Members = Mapping[str, Position]

# Half a cell is 0.33 m, and of what is printed as kilometres 0.05 m are cut off.
SAID_M = 0.4

NEW_YORK: Members = {
    "wtc one": (-74.0131604, 40.7126674),
    "union square": (-73.9903085, 40.7362513),
    "central park n/q/r": (-73.9733487, 40.7648057),
    "4545": (-73.9564142, 40.7480973),
    "q4": (-73.9375699, 40.7498929),
    "lic market": (-73.9454966, 40.747533),
    "jfk": (-73.7858139, 40.6428986),
}
MIDTOWN = (-73.9798091, 40.7598464)
PALERMO, CATANIA = (13.361389, 38.115556), (15.087269, 37.502669)
SICILY: Members = {
    "Palermo": PALERMO,
    "Catania": CATANIA,
    "edge1": (12.758489, 38.788135),
    "edge2": (17.241510, 38.788135),
}
BARCELONA: Members = {
    "place1": (2.1909389952632, 41.433791470673),
    "place2": (2.1873744593677, 41.406342043777),
}
SAN_FRANCISCO: Members = {"1": (-122.407107, 37.7943), "2": (-122.227336, 37.7943)}
PARIS: Members = {
    "north, inside": (2.35, 48.8949),
    "north, outside": (2.35, 48.8950),
    "east, inside": (2.4182, 48.85),
    "east, outside": (2.4184, 48.85),
}
ORIGIN: Members = {"east": (0.0449, 0.0), "at the edge": (0.044915, 0.0), "north, outside": (0.0, 0.044957)}
OPEN_SEA: Members = {
    "1": (5.0, 5.0),
    "2": (19.0, 19.0),
    "3": (19.0, 12.0),
    "4": (5.0, -5.0),
    "5": (21.0, 33.0),
}
DATE_LINE: Members = {"west": (179.99, 0.0), "east": (-179.99, 0.0)}
PACIFIC: Members = {"point1": (179.5, 36.0), "point2": (-179.5, 36.0)}
HIGH: Members = {"n1": (-0.15307903289794921875, 85.0), "n2": (0.3515625, 85.00019260486917005437)}
HIGHER: Members = {"n3": (-4.95211958885192871094, 85.0), "n4": (11.25, 85.0511)}
NORTHWARD: Members = {"n5": (-45.0, 65.50900022111811438208), "n6": (90.0, 85.0511)}
OVER_THE_POLE: Members = {"n1": (45.0, 65.0), "n2": (-135.0, 85.05)}
LIMIT = 85.05112878
AROUND: Members = {"0": (0.0, LIMIT), "90": (90.0, LIMIT), "180": (180.0, LIMIT), "-90": (-90.0, LIMIT)}
ON_THE_LINE: Members = {
    "west": (179.0, 44.981161),
    "east": (-179.2, 44.981161),
    "north": (-179.9, 45.8),
    "far": (-178.0, 44.981161),
}
POLAR: Members = {
    "near": (-17.817, 89.985),
    "pole": (0.0, 90.0),
    "other side": (162.183, 89.99),
    "far": (90.0, 89.9),
}
AT_THE_LIMIT: Members = {"edge": (10.0, LIMIT), "below": (10.0, 85.0511)}
FAR_SOUTH: Members = {"user": (-47.271613776683807, -54.534504198047678)}


@dataclass(frozen=True, slots=True)
class Case:
    """A circle and who is in it, from near to far; metres where they are published."""

    name: str
    members: Members
    center: Position
    radius_m: float
    inside: Sequence[str]
    metres: Sequence[float] = ()
    # Where two are equally far.
    unordered: bool = False


AROUND_MIDTOWN = ["central park n/q/r", "4545", "union square", "lic market", "q4", "wtc one", "jfk"]
FROM_MIDTOWN = [775.0, 2365.1, 2769.7, 3199.1, 3726.9, 5953.0, 20899.5]

CASES = (
    Case("3 km of New York", NEW_YORK, MIDTOWN, 3e3, AROUND_MIDTOWN[:3], FROM_MIDTOWN[:3]),
    Case("30 km of New York", NEW_YORK, MIDTOWN, 30e3, AROUND_MIDTOWN, FROM_MIDTOWN),
    Case("200 km of Sicily", SICILY, (15.0, 37.0), 200e3, ["Catania", "Palermo"], [56441.3, 190442.4]),
    Case(
        "two that differ by 0.2 m",
        SICILY,
        (15.0, 37.0),
        300e3,
        ["Catania", "Palermo", "edge2", "edge1"],
        [56441.3, 190442.4, 279740.3, 279740.5],
    ),
    Case("a short way from home", BARCELONA, (2.191, 41.433), 1e3, ["place1"], [88.0506]),
    Case(
        "a long way and none",
        SAN_FRANCISCO,
        SAN_FRANCISCO["1"],
        30 * 1609.34,
        ["1", "2"],
        [0.0, 9.8182 * 1609.34],
    ),
    Case(
        "5 km of Paris", PARIS, (2.35, 48.85), 5e3, ["east, inside", "north, inside"], [4991.7306, 4993.9682]
    ),
    Case("5 km of the origin", ORIGIN, (0.0, 0.0), 5e3, ["east", "at the edge"], [4993.8, 4995.6]),
    Case(
        "everyone, however far",
        OPEN_SEA,
        (20.0, 20.0),
        20_100e3,
        ["2", "3", "5", "1", "4"],
        [152851.9, 896198.0, 1449338.4, 2327772.7, 3228313.2],
    ),
    Case("4,000 km of the open sea", OPEN_SEA, (20.0, 20.0), 4000e3, ["2", "3", "5", "1", "4"]),
    Case("1,500 km of the open sea", OPEN_SEA, (20.0, 20.0), 1500e3, ["2", "3", "5"]),
    Case("a centre that is an item", OPEN_SEA, (19.0, 19.0), 1.0, ["2"], [0.0]),
    Case("the smallest circle around an item", {"place": (2.0, 48.0)}, (2.0, 48.0), 0.2, ["place"], [0.0]),
    Case(
        "a date line from the west", PACIFIC, (179.0, 37.0), 200e3, ["point1", "point2"], [119873.7, 174231.3]
    ),
    Case(
        "a date line from the east",
        PACIFIC,
        (-179.0, 37.0),
        200e3,
        ["point2", "point1"],
        [119873.7, 174231.3],
    ),
    Case("from -180", DATE_LINE, (-180.0, 0.0), 5e3, ["east", "west"], [1112.3, 1112.3], unordered=True),
    Case("from +180", DATE_LINE, (180.0, 0.0), 5e3, ["east", "west"], [1112.3, 1112.3], unordered=True),
    Case("an item at +180", {"line": (180.0, 0.0)}, (179.9999, 0.0), 1e3, ["line"], [11.12]),
    Case("22 km over the date line", {"west": (179.9, 0.0)}, (-179.9, 0.0), 80e3, ["west"], [22245.0]),
    Case(
        "a circle that lies on the date line",
        ON_THE_LINE,
        (179.987181, 44.981161),
        100e3,
        ["east", "west", "north"],
    ),
    Case("10 m at the limit of Redis", AT_THE_LIMIT, (10.0, 85.0511), 10.0, ["below", "edge"], [0.0, 3.2]),
    Case("a slanting circle at 85", HIGH, HIGH["n1"], 4891.94, ["n1", "n2"], [0.0, 4891.94]),
    Case("a slanting circle above 85", HIGHER, HIGHER["n3"], 156544.0, ["n3", "n4"], [0.0, 155848.3]),
    Case("from 65 to 85", NORTHWARD, NORTHWARD["n5"], 5009431.0, ["n5", "n6"], [0.0, 3136004.8]),
    Case("over the pole", OVER_THE_POLE, OVER_THE_POLE["n1"], 5009431.0, ["n1", "n2"], [0.0, 3331227.7]),
    Case(
        "around the pole",
        AROUND,
        AROUND["0"],
        1101e3,
        ["0", "-90", "90", "180"],
        [0.0, 777961.7, 777961.7, 1100889.3],
        unordered=True,
    ),
    Case("around the earth", FAR_SOUTH, (0.0, 0.0), 50_000e3, ["user"], [7431677.4]),
    Case(
        "nine kilometres at the pole",
        POLAR,
        (-17.817, 89.981),
        9.2e3,
        ["near", "pole", "other side"],
        [444.9, 2113.3, 3225.6],
    ),
    Case("nobody", NEW_YORK, (0.0, 0.0), 100e3, []),
)


def point(position: Position) -> Point:
    return normalise(position[1], position[0])


def items_of(members: Members) -> list[ServedItem]:
    """One item at each place, named for it."""
    return [
        served(number, (place.lat, place.lon), item_id=name)
        for number, (name, place) in enumerate(((n, point(at)) for n, at in members.items()), 1)
    ]
