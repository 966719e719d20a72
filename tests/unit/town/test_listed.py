"""A town whose items are real listings."""

import pytest

from nearcast_geo.point import Point
from nearcast_town.constants import WorldConstants
from nearcast_town.listed import ListedWorld, Listing

CONSTANTS = WorldConstants(item_count=20, person_count=10)
LISTINGS = [Listing(Point(59.9 + n / 1000, 10.7), f"Room {n}", "room", float(n % 5)) for n in range(30)]


def test_what_is_liked_more_is_viewed_more_and_nothing_is_never_viewed() -> None:
    world = ListedWorld(1, LISTINGS, CONSTANTS)
    by_liking: dict[float, set[float]] = {}
    for number in range(30):
        resident = world.resident(number)
        liking = next(each.liking for each in LISTINGS if each.title == resident.item.title)
        by_liking.setdefault(liking, set()).add(round(resident.rates.view, 12))
    rates = [by_liking[liking] for liking in sorted(by_liking)]
    assert [len(each) for each in rates] == [1] * 5
    ordered = [each.pop() for each in rates]
    assert ordered == sorted(ordered)
    assert ordered[0] > 0


def test_after_the_last_listing_the_first_is_born_again_under_another_name() -> None:
    world = ListedWorld(1, LISTINGS, CONSTANTS)
    first, again = world.resident(3), world.resident(33)
    assert first.item.point == again.item.point
    assert first.item.item_id != again.item.item_id
    assert world.rates(again.item.item_id) == again.rates
    assert world.rates("somebody-elses").view > 0


def test_too_few_listings_are_refused() -> None:
    with pytest.raises(ValueError, match="19 listings are too few for 20 items"):
        ListedWorld(1, LISTINGS[:19], CONSTANTS)
