"""Opening hours against a calendar walked minute by minute; filters against sets taken literally."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_catalogue.checking import check_item
from nearcast_catalogue.echo import printable
from nearcast_catalogue.eligibility import Filter, eligible
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours, is_open_at, minute_of_week
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting

intervals = st.builds(
    lambda day, opens, length: OpeningInterval(day, opens, min(opens + length, 2880)),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(1, 2880),
)
DST_WEEKS = [
    ("Europe/Oslo", datetime(2024, 3, 28, tzinfo=UTC)),
    ("Europe/Oslo", datetime(2024, 10, 24, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 3, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2024, 10, 31, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2024, 4, 4, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2024, 4, 11, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 27, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2024, 1, 1, tzinfo=UTC)),
]


def open_labels(weekly: tuple[OpeningInterval, ...]) -> set[tuple[int, int, int]]:
    """Every (weekday, hour, minute) that some interval ticks through on its way from opening to closing."""
    labels = set()
    for interval in weekly:
        midnight = datetime(2001, 1, 1) + timedelta(days=interval.day)  # noqa: DTZ001 - a bare Monday
        for minute in range(interval.opens_minute, interval.closes_minute):
            clock = midnight + timedelta(minutes=minute)
            labels.add((clock.weekday(), clock.hour, clock.minute))
    return labels


@pytest.mark.parametrize(("zone", "start"), DST_WEEKS)
@settings(max_examples=60, deadline=None)
@given(
    weekly=st.lists(intervals, max_size=4).map(tuple),
    offset_s=st.sampled_from([0, 59]),
    phase=st.integers(0, 12),
)
def test_opening_agrees_with_a_calendar_through_the_change_of_the_clock(zone, start, weekly, offset_s, phase):
    labels, hours = open_labels(weekly), WeeklyHours(zone, weekly)
    for minute in range(phase, 7 * 1440, 13):
        moment = start + timedelta(minutes=minute, seconds=offset_s)
        clock = moment.astimezone(ZoneInfo(zone))
        expected = (clock.weekday(), clock.hour, clock.minute) in labels
        assert is_open_at(hours, minute_of_week(zone, moment.timestamp())) is expected


names = st.sampled_from(["a", "b", "c", "d", "e"])
sets = st.frozensets(names, max_size=3)
times = st.none() | st.floats(0.0, 10.0)


filters = st.builds(Filter, sets, sets, sets, sets, sets, categories_none=sets)


@given(sets, names, times, times, filters, st.floats(0.0, 10.0))
def test_filters_say_what_sets_say(tags, category, starts_at, expires_at, wanted, now):
    item = Item(
        ItemId("a"), (Place(0.0, 0.0),), tags=tuple(Tag(name) for name in tags), category=category,
        starts_at=starts_at, expires_at=expires_at,
    )  # fmt: skip
    expected = all(
        [
            starts_at is None or starts_at <= now,
            expires_at is None or now < expires_at,
            not wanted.tags_any or tags & wanted.tags_any,
            tags >= wanted.tags_all,
            not tags & wanted.tags_none,
            not wanted.categories or category in wanted.categories,
            category not in wanted.categories_none,
            "a" not in wanted.exclude_item_ids,
        ]
    )
    assert eligible(wanted, now)(ServedItem(Posting(1), 1, 0.0, item)) is expected


@given(sets, names, filters, filters)
def test_of_two_filters_both_have_to_hold(tags, category, one, other):
    tagged = tuple(Tag(name) for name in tags)
    served = ServedItem(
        Posting(1), 1, 0.0, Item(ItemId("a"), (Place(0.0, 0.0),), tags=tagged, category=category)
    )
    both = msgspec.structs.replace(one, also=other)
    expected = eligible(one, 0.0)(served) and eligible(other, 0.0)(served)
    assert eligible(both, 0.0)(served) is expected


anything = st.text(st.characters(), max_size=200)
numbers = st.floats() | st.floats(-1.0, 2.0)


@given(
    st.builds(
        Item,
        item_id=anything,
        places=st.lists(st.builds(Place, numbers, numbers), max_size=20).map(tuple),
        reach_m=st.none() | numbers,
        tags=st.lists(st.builds(Tag, anything, numbers), max_size=5).map(tuple),
        category=anything,
        owner=anything,
        title=anything,
        url=anything | anything.map("https://{}".format),
        image_url=anything,
        attributes=st.dictionaries(anything, anything, max_size=5),
        starts_at=st.none() | numbers,
        expires_at=st.none() | numbers,
        hours=st.none() | st.builds(WeeklyHours, anything, st.lists(intervals, max_size=3).map(tuple)),
        version=st.integers(),
        etag=anything,
    )
)
def test_checking_never_fails_and_only_says_what_can_be_shown(item):
    for problem in check_item(item):
        assert problem.field.isprintable()
        assert problem.message.isprintable()
        assert len(problem.message) <= 256


@given(st.text(st.characters()))
def test_echo_is_always_short_and_visible(value):
    assert printable(value).isprintable()
    assert len(printable(value)) <= 64
