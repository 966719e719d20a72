"""Whether an item may be shown now, to this query."""

from collections.abc import Callable
from typing import Literal

import msgspec

from nearcast_catalogue.hours import WeeklyHours, is_open_at, minute_of_week
from nearcast_catalogue.item import Item, ServedItem, Tag

Reason = Literal["not_started", "expired", "closed", "tag", "category", "excluded"]


class Filter(msgspec.Struct, frozen=True):
    """What a query asks for; an empty set asks for nothing."""

    tags_any: frozenset[str] = frozenset()
    tags_all: frozenset[str] = frozenset()
    tags_none: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    exclude_item_ids: frozenset[str] = frozenset()


def eligible(wanted: Filter, now: float) -> Callable[[ServedItem], bool]:
    """Return the test of one query at one moment, to be put to many items."""
    reason = reasons(wanted, now)
    return lambda served: reason(served) is None


def reasons(wanted: Filter, now: float) -> Callable[[ServedItem], Reason | None]:
    """Return what tells the first reason to leave an item out, or None; for one query at one moment."""
    asks_tags = bool(wanted.tags_any or wanted.tags_all or wanted.tags_none)
    is_open_now = _opening_at(now)

    def reason(served: ServedItem) -> Reason | None:
        item = served.item
        if item.starts_at is not None and now < item.starts_at:
            return "not_started"
        if item.expires_at is not None and item.expires_at <= now:
            return "expired"
        if item.hours is not None and not is_open_now(item.hours):
            return "closed"
        if asks_tags and not _matches(item.tags, wanted):
            return "tag"
        if wanted.categories and item.category not in wanted.categories:
            return "category"
        return "excluded" if item.item_id in wanted.exclude_item_ids else None

    return reason


def within_reach(item: Item, distance_m: float, radius_m: float) -> bool:
    """Return whether the item is near enough: its reach, where set, replaces the radius; the edge is in."""
    return distance_m <= (radius_m if item.reach_m is None else item.reach_m)


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
