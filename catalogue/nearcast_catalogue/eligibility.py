"""Whether an item may be shown now, to this query."""

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import msgspec

from nearcast_catalogue.hours import WeeklyHours, is_open_at, minute_of_week
from nearcast_catalogue.item import Item, ServedItem, Tag

Reason = Literal["not_started", "expired", "closed", "tag", "category", "excluded", "market", "polygon"]


class Region(Protocol):
    """A piece of the earth."""

    def covers(self, lat: float, lon: float) -> bool:
        """Whether a normalised point lies within it, its border included."""
        ...


class Filter(msgspec.Struct, frozen=True):
    """What a query asks for; an empty set asks for nothing.

    `also` is a second filter that has to hold as well, by names and ids alone.
    """

    tags_any: frozenset[str] = frozenset()
    tags_all: frozenset[str] = frozenset()
    tags_none: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    exclude_item_ids: frozenset[str] = frozenset()
    market: int | None = None
    region: Region | None = None
    categories_none: frozenset[str] = frozenset()
    also: "Filter | None" = None


def eligible(wanted: Filter, now: float) -> Callable[[ServedItem], bool]:
    """Return the test of one query at one moment, to be put to many items."""
    reason = reasons(wanted, now)
    return lambda served: reason(served) is None


def reasons(wanted: Filter, now: float) -> Callable[[ServedItem], Reason | None]:
    """Return what tells the first reason to leave an item out, or None; for one query at one moment."""
    is_closed, is_unasked = _closing_at(now), _refusing(wanted)
    if wanted.also is None:
        return lambda served: is_closed(served.item) or is_unasked(served)
    is_also_unasked = _refusing(wanted.also)
    return lambda served: is_closed(served.item) or is_unasked(served) or is_also_unasked(served)


def every_reason(wanted: Filter, now: float) -> Callable[[ServedItem], tuple[Reason, ...]]:
    """Return what tells all reasons to leave an item out; for one query at one moment."""
    is_closed, are_unasked = _closing_at(now), [_refusing(part) for part in _parts(wanted)]

    def told(served: ServedItem) -> tuple[Reason, ...]:
        found = (is_closed(served.item), *(is_unasked(served) for is_unasked in are_unasked))
        return tuple(dict.fromkeys(reason for reason in found if reason is not None))

    return told


def _parts(wanted: Filter) -> Iterator[Filter]:
    """One question each, those about tags as one."""
    yield Filter(tags_any=wanted.tags_any, tags_all=wanted.tags_all, tags_none=wanted.tags_none)
    yield Filter(categories=wanted.categories, categories_none=wanted.categories_none)
    yield Filter(exclude_item_ids=wanted.exclude_item_ids)
    yield Filter(market=wanted.market)
    yield Filter(region=wanted.region)
    if wanted.also is not None:
        yield from _parts(wanted.also)


def _closing_at(now: float) -> Callable[[Item], Reason | None]:
    """What keeps an item from anybody at that moment."""
    is_open_now = _opening_at(now)

    def reason(item: Item) -> Reason | None:
        if item.starts_at is not None and now < item.starts_at:
            return "not_started"
        if item.expires_at is not None and item.expires_at <= now:
            return "expired"
        return "closed" if item.hours is not None and not is_open_now(item.hours) else None

    return reason


def _refusing(wanted: Filter) -> Callable[[ServedItem], Reason | None]:
    """What of an item the query does not ask for; the dearest question comes last."""
    asks_tags = bool(wanted.tags_any or wanted.tags_all or wanted.tags_none)

    def reason(served: ServedItem) -> Reason | None:
        item = served.item
        if asks_tags and not _matches(item.tags, wanted):
            return "tag"
        if wanted.categories and item.category not in wanted.categories:
            return "category"
        if item.category in wanted.categories_none:
            return "category"
        if item.item_id in wanted.exclude_item_ids:
            return "excluded"
        if wanted.market is not None and served.market != wanted.market:
            return "market"
        return "polygon" if wanted.region is not None and not _lies_in(item, wanted.region) else None

    return reason


def within_reach(item: Item, distance_m: float, radius_m: float) -> bool:
    """Return whether the item is near enough: its reach, where set, replaces the radius; the edge is in."""
    return distance_m <= (radius_m if item.reach_m is None else item.reach_m)


def _lies_in(item: Item, region: Region) -> bool:
    return any(region.covers(place.latitude, place.longitude) for place in item.places)


def _matches(tags: tuple[Tag, ...], wanted: Filter) -> bool:
    names = {tag.name for tag in tags}
    if wanted.tags_any and names.isdisjoint(wanted.tags_any):
        return False
    return wanted.tags_all <= names and names.isdisjoint(wanted.tags_none)


def _opening_at(now: float) -> Callable[[WeeklyHours], bool]:
    """Read the wall clock of each zone once: it is by far the dearest part of the question."""
    minutes: dict[str, int] = {}

    def is_open_now(hours: WeeklyHours) -> bool:
        minute = minutes.get(hours.time_zone)
        if minute is None:
            minute = minutes[hours.time_zone] = minute_of_week(hours.time_zone, now)
        return is_open_at(hours, minute)

    return is_open_now
