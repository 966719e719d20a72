import msgspec
import pytest

from nearcast_catalogue.eligibility import Filter, eligible, every_reason, reasons, within_reach
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting

NOW = 1_705_312_800.0  # Monday 2024-01-15 10:00 UTC
OPEN = WeeklyHours("UTC", (OpeningInterval(0, 540, 1020),))
CLOSED = WeeklyHours("UTC", (OpeningInterval(1, 540, 1020),))
PLAIN = Item(
    ItemId("cafe-1"), (Place(59.91, 10.75),), tags=(Tag("coffee"), Tag("cake", 0.0)), category="cafe"
)


def served(**changes) -> ServedItem:
    return ServedItem(Posting(1), 1, 0.0, msgspec.structs.replace(PLAIN, **changes))


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


CASES = [
    ({}, Filter(), None),
    ({"starts_at": NOW + 0.001}, Filter(), "not_started"),
    ({"starts_at": NOW}, Filter(), None),
    ({"expires_at": NOW}, Filter(), "expired"),
    ({"expires_at": NOW + 0.001}, Filter(), None),
    ({"hours": OPEN}, Filter(), None),
    ({"hours": CLOSED}, Filter(), "closed"),
    ({"hours": WeeklyHours("UTC")}, Filter(), "closed"),
    ({}, Filter(tags_any=some("tea", "coffee")), None),
    ({}, Filter(tags_any=some("tea")), "tag"),
    ({"tags": ()}, Filter(tags_any=some("tea")), "tag"),
    ({}, Filter(tags_all=some("coffee", "cake")), None),
    ({}, Filter(tags_all=some("coffee", "tea")), "tag"),
    ({}, Filter(tags_none=some("tea")), None),
    ({}, Filter(tags_none=some("tea", "cake")), "tag"),
    ({"tags": ()}, Filter(tags_none=some("tea")), None),
    ({}, Filter(tags_any=some("coffee"), tags_none=some("coffee")), "tag"),
    ({}, Filter(tags_any=some("Coffee")), "tag"),
    ({}, Filter(categories=some("cafe", "bar")), None),
    ({}, Filter(categories=some("bar")), "category"),
    ({"category": ""}, Filter(categories=some("bar")), "category"),
    ({}, Filter(categories_none=some("cafe")), "category"),
    ({}, Filter(categories_none=some("bar")), None),
    ({}, Filter(also=Filter(categories_none=some("cafe"))), "category"),
    ({}, Filter(exclude_item_ids=some("cafe-1")), "excluded"),
    ({}, Filter(exclude_item_ids=some("cafe-2")), None),
    ({"expires_at": NOW, "hours": CLOSED}, Filter(exclude_item_ids=some("cafe-1")), "expired"),
]


@pytest.mark.parametrize(("changes", "wanted", "reason"), CASES)
def test_reason_for_leaving_an_item_out(changes, wanted, reason):
    item = served(**changes)
    assert reasons(wanted, NOW)(item) == reason
    assert eligible(wanted, NOW)(item) is (reason is None)
    assert every_reason(wanted, NOW)(item)[:1] == (() if reason is None else (reason,))


def test_one_test_serves_items_of_many_zones():
    may = eligible(Filter(), NOW)
    zones = {"UTC": True, "Asia/Tokyo": False, "Europe/Oslo": True, "America/Los_Angeles": False}
    for zone, expected in [*zones.items(), *zones.items()]:
        assert may(served(hours=WeeklyHours(zone, OPEN.intervals))) is expected


class South:
    """All of the southern hemisphere."""

    def covers(self, lat: float, lon: float) -> bool:
        return lat <= 0.0


def test_an_item_of_another_market_is_left_out():
    def reason(market, wanted):
        item = msgspec.structs.replace(served(), market=market)
        return reasons(Filter(market=wanted), NOW)(item)

    assert [reason(3, 3), reason(3, 4), reason(0, 4), reason(3, None)] == [None, "market", "market", None]


def test_one_place_within_a_region_is_enough():
    def reason(*latitudes):
        places = tuple(Place(latitude, 10.0) for latitude in latitudes)
        return reasons(Filter(region=South()), NOW)(served(places=places))

    assert [reason(-1.0), reason(1.0), reason(1.0, -1.0), reason(0.0)] == [None, "polygon", None, None]


@pytest.mark.parametrize(
    ("reach_m", "distance_m", "radius_m", "near"),
    [
        (None, 5000.0, 5000.0, True),
        (None, 5000.1, 5000.0, False),
        (20_000.0, 15_000.0, 5000.0, True),
        (20_000.0, 20_000.0, 5000.0, True),
        (20_000.0, 21_000.0, 5000.0, False),
        (3000.0, 4000.0, 5000.0, False),
        (3000.0, 4000.0, 50_000.0, False),
    ],
)
def test_reach_replaces_the_radius_of_the_query(reach_m, distance_m, radius_m, near):
    assert within_reach(served(reach_m=reach_m).item, distance_m, radius_m) is near
