from datetime import UTC, datetime

import pytest

from nearcast_catalogue.hours import OpeningInterval, WeeklyHours, is_open_at, is_time_zone, minute_of_week

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6
OSLO, NEW_YORK, KATHMANDU, LORD_HOWE = (
    "Europe/Oslo",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
)


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


OFFICE = (OpeningInterval(MONDAY, 540, 1020),)
NIGHT = (OpeningInterval(SATURDAY, 1320, 1620),)  # Saturday 22:00 to Sunday 03:00
WRAP = (OpeningInterval(SUNDAY, 1200, 1560),)  # Sunday 20:00 to Monday 02:00
LONG = (OpeningInterval(SUNDAY, 0, 2880),)  # Sunday and Monday
ALWAYS = tuple(OpeningInterval(day, 0, 1440) for day in range(7))

CASES = [
    # an ordinary Monday, UTC+1
    (OSLO, OFFICE, "2024-01-15 07:59:59", False),
    (OSLO, OFFICE, "2024-01-15 08:00", True),
    (OSLO, OFFICE, "2024-01-15 15:59:59.999999", True),
    (OSLO, OFFICE, "2024-01-15 16:00", False),
    (OSLO, OFFICE, "2024-01-16 08:00", False),
    # the same local hours are an hour earlier in summer
    (OSLO, OFFICE, "2024-07-15 07:00", True),
    (OSLO, OFFICE, "2024-07-15 15:00", False),
    # past midnight
    (OSLO, NIGHT, "2024-01-20 20:59", False),
    (OSLO, NIGHT, "2024-01-20 21:00", True),
    (OSLO, NIGHT, "2024-01-21 01:59", True),
    (OSLO, NIGHT, "2024-01-21 02:00", False),
    # past the end of the week
    (OSLO, WRAP, "2024-01-21 19:00", True),
    (OSLO, WRAP, "2024-01-21 23:30", True),
    (OSLO, WRAP, "2024-01-22 00:59", True),
    (OSLO, WRAP, "2024-01-22 01:00", False),
    (OSLO, LONG, "2024-01-20 22:59", False),
    (OSLO, LONG, "2024-01-20 23:00", True),
    (OSLO, LONG, "2024-01-22 22:59", True),
    (OSLO, LONG, "2024-01-22 23:00", False),
    # clock put forward: on 31 March 02:00 becomes 03:00, so a night that ends at 03:00 ends then
    (OSLO, NIGHT, "2024-03-31 00:59", True),
    (OSLO, NIGHT, "2024-03-31 01:00", False),
    # clock put back: on 27 October 02:00 to 03:00 comes twice, and both are open
    (OSLO, NIGHT, "2024-10-27 00:30", True),
    (OSLO, NIGHT, "2024-10-27 01:30", True),
    (OSLO, NIGHT, "2024-10-27 02:00", False),
    (NEW_YORK, (OpeningInterval(SUNDAY, 60, 90),), "2024-11-03 05:15", True),
    (NEW_YORK, (OpeningInterval(SUNDAY, 60, 90),), "2024-11-03 05:45", False),
    (NEW_YORK, (OpeningInterval(SUNDAY, 60, 90),), "2024-11-03 06:15", True),
    (NEW_YORK, (OpeningInterval(SUNDAY, 60, 90),), "2024-11-03 06:45", False),
    # a time that the clock skips never comes
    (NEW_YORK, (OpeningInterval(SUNDAY, 120, 180),), "2024-03-10 06:59", False),
    (NEW_YORK, (OpeningInterval(SUNDAY, 120, 180),), "2024-03-10 07:00", False),
    # zones off by 45 minutes, and with a summer time of half an hour
    (KATHMANDU, OFFICE, "2024-01-15 03:14", False),
    (KATHMANDU, OFFICE, "2024-01-15 03:15", True),
    (LORD_HOWE, (OpeningInterval(SUNDAY, 90, 120),), "2024-04-06 14:45", True),
    (LORD_HOWE, (OpeningInterval(SUNDAY, 90, 120),), "2024-04-06 15:15", True),
    (LORD_HOWE, (OpeningInterval(SUNDAY, 90, 120),), "2024-04-06 15:30", False),
    # other edges
    ("UTC", ALWAYS, "2024-02-29 23:59:59", True),
    ("UTC", (), "2024-02-29 12:00", False),
    ("UTC", (OpeningInterval(FRIDAY, 0, 1), OpeningInterval(FRIDAY, 0, 60)), "2024-02-23 00:30", True),
    ("UTC", ALWAYS, "1969-12-31 23:59:59.5", True),
]


@pytest.mark.parametrize(("zone", "intervals", "moment", "expected"), CASES)
def test_opening_reads_the_clock_on_the_wall(zone, intervals, moment, expected):
    minute = minute_of_week(zone, unix(moment))
    assert is_open_at(WeeklyHours(zone, intervals), minute) is expected


def test_minute_of_week_starts_on_monday():
    assert minute_of_week("UTC", unix("2024-01-15 00:00:59")) == 0
    assert minute_of_week("UTC", unix("2024-01-21 23:59:59.9999999")) == 7 * 1440 - 1
    assert minute_of_week(OSLO, unix("2024-01-14 23:00")) == 0


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (OSLO, True),
        ("UTC", True),
        ("America/Indiana/Knox", True),
        ("europe/oslo", False),
        ("Europe", False),
        ("Factory", False),
        ("", False),
        ("../UTC", False),
    ],
)
def test_only_names_of_the_database_are_time_zones(name, known):
    assert is_time_zone(name) is known
