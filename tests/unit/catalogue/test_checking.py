import math

import msgspec
import pytest

from nearcast_catalogue.checking import MAX_REACH_M, Violation, check_id, check_item
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, Tag
from nearcast_catalogue.posting import ItemId
from nearcast_geo import reach

PLAIN = Item(item_id=ItemId("cafe-1"), places=(Place(59.91, 10.75),))
FULL = Item(
    item_id=ItemId("A.z_0~9-" + "x" * 120),
    places=(Place(59.91, 10.75),) * 16,
    reach_m=500_000.0,
    tags=(*(Tag(f"tag {n}", n / 63) for n in range(63)), Tag("ø" * 64)),
    category="c" * 64,
    owner="Østkanten Bakeri AS",
    title="🥐" * 300,
    url="https://example.com/" + "p" * 2028,
    image_url="http://[2001:db8::1]:8080/a.png?b=c#d",
    attributes={f"k{n}": "line one\nline\ttwo" for n in range(64)},
    starts_at=0.0,
    expires_at=0.5,
    hours=WeeklyHours("America/Argentina/Buenos_Aires", (OpeningInterval(6, 1439, 2880),) * 56),
    version=2**63 - 1,
    etag="W/1",
)


def broken(**changes) -> list[tuple[str, str]]:
    return [(v.field, v.reason) for v in check_item(msgspec.structs.replace(PLAIN, **changes))]


@pytest.mark.parametrize("item", [PLAIN, FULL], ids=["plain", "full"])
def test_item_within_all_limits_is_right(item):
    assert check_item(item) == []


def hours(*intervals: OpeningInterval, zone: str = "Europe/Oslo") -> WeeklyHours:
    return WeeklyHours(zone, intervals)


BAD = [
    ({"item_id": ""}, "item_id", "ID_LENGTH"),
    ({"item_id": "x" * 129}, "item_id", "ID_LENGTH"),
    ({"item_id": "a b"}, "item_id", "ID_CHARSET"),
    ({"item_id": "a\n"}, "item_id", "ID_CHARSET"),
    ({"item_id": "{a}:*"}, "item_id", "ID_CHARSET"),
    ({"item_id": "kafé"}, "item_id", "ID_CHARSET"),
    ({"item_id": "\u202eabc"}, "item_id", "ID_CHARSET"),
    ({"item_id": "%00"}, "item_id", "ID_CHARSET"),
    ({"places": ()}, "locations", "LOCATION_REQUIRED"),
    ({"places": (Place(0.0, 0.0),) * 17}, "locations", "LIST_TOO_LONG"),
    ({"reach_m": 0.0}, "reach_m", "REACH_OUT_OF_RANGE"),
    ({"reach_m": -1.0}, "reach_m", "REACH_OUT_OF_RANGE"),
    ({"reach_m": 500_000.1}, "reach_m", "REACH_OUT_OF_RANGE"),
    ({"reach_m": math.nan}, "reach_m", "REACH_OUT_OF_RANGE"),
    ({"reach_m": math.inf}, "reach_m", "REACH_OUT_OF_RANGE"),
    ({"reach_m": 5.0, "reach_area": "{}"}, "reach_area", "REACH_CONFLICT"),
    ({"tags": tuple(Tag(str(n)) for n in range(65))}, "tags", "LIST_TOO_LONG"),
    ({"tags": tuple(Tag(str(n)) for n in range(1000))}, "tags", "LIST_TOO_LONG"),
    ({"tags": (Tag("a"), Tag(""))}, "tags[1].name", "TAG_INVALID"),
    ({"tags": (Tag("x" * 65),)}, "tags[0].name", "TAG_INVALID"),
    ({"tags": (Tag("a\x00"),)}, "tags[0].name", "TAG_INVALID"),
    ({"tags": (Tag("a\ud800"),)}, "tags[0].name", "TAG_INVALID"),
    ({"tags": (Tag("a"), Tag("b"), Tag("a", 0.5))}, "tags[2].name", "TAG_INVALID"),
    ({"tags": (Tag("a", 1.01),)}, "tags[0].relevance", "TAG_INVALID"),
    ({"tags": (Tag("a", -0.1),)}, "tags[0].relevance", "TAG_INVALID"),
    ({"tags": (Tag("a", math.nan),)}, "tags[0].relevance", "TAG_INVALID"),
    ({"tags": (Tag("a", math.inf),)}, "tags[0].relevance", "TAG_INVALID"),
    ({"category": "c" * 65}, "category", "TEXT_TOO_LONG"),
    ({"category": "two words"}, "category", "ID_CHARSET"),
    ({"category": "a\x00"}, "category", "ID_CHARSET"),
    ({"owner": "o" * 129}, "owner", "TEXT_TOO_LONG"),
    ({"owner": "o\x00"}, "owner", "TEXT_CHARSET"),
    ({"title": "t" * 301}, "title", "TEXT_TOO_LONG"),
    ({"title": "t" * 10_240}, "title", "TEXT_TOO_LONG"),
    ({"title": "t\x1b[31m"}, "title", "TEXT_CHARSET"),
    ({"title": "t\udfff"}, "title", "TEXT_CHARSET"),
    ({"url": "ftp://example.com"}, "url", "URL_INVALID"),
    ({"url": "javascript:alert(1)"}, "url", "URL_INVALID"),
    ({"url": "//example.com"}, "url", "URL_INVALID"),
    ({"url": "https://"}, "url", "URL_INVALID"),
    ({"url": "https://:80"}, "url", "URL_INVALID"),
    ({"url": "https://a b"}, "url", "URL_INVALID"),
    ({"url": "https://exa\nmple.com"}, "url", "URL_INVALID"),
    ({"url": "https://[::1"}, "url", "URL_INVALID"),
    ({"url": "https://example.com:99999"}, "url", "URL_INVALID"),
    ({"url": "https://example.com/" + "p" * 2029}, "url", "URL_INVALID"),
    ({"image_url": "data:image/png;base64,AAAA"}, "image_url", "URL_INVALID"),
    ({"attributes": {str(n): "" for n in range(65)}}, "attributes", "ATTRIBUTES_LIMIT"),
    ({"attributes": {"": "v"}}, "attributes[]", "ATTRIBUTES_LIMIT"),
    ({"attributes": {"k" * 65: "v"}}, f"attributes[{'k' * 63}…]", "ATTRIBUTES_LIMIT"),
    ({"attributes": {"k": "v" * 1025}}, "attributes[k]", "ATTRIBUTES_LIMIT"),
    ({"attributes": {"k": "v\x00"}}, "attributes[k]", "TEXT_CHARSET"),
    ({"attributes": {"k\n": "v"}}, "attributes[k\\n]", "TEXT_CHARSET"),
    ({"attributes": {f"{n:02}": "ø" * 511 for n in range(16)} | {"x": ""}}, "attributes", "ATTRIBUTES_LIMIT"),
    ({"starts_at": 10.0, "expires_at": 10.0}, "expires_at", "TIME_RANGE"),
    ({"starts_at": 10.0, "expires_at": 9.0}, "expires_at", "TIME_RANGE"),
    ({"starts_at": math.nan, "expires_at": 9.0}, "starts_at", "TIME_RANGE"),
    ({"expires_at": math.inf}, "expires_at", "TIME_RANGE"),
    ({"expires_at": 253_402_300_800.0}, "expires_at", "TIME_RANGE"),
    ({"starts_at": -1e15}, "starts_at", "TIME_RANGE"),
    ({"hours": hours(zone="Europe/Oslø")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="../../etc/passwd")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="/etc/localtime")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="Europe")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="localtime")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(zone="UTC\x00")}, "hours.time_zone", "TIME_ZONE_UNKNOWN"),
    ({"hours": hours(*[OpeningInterval(0, 0, 1)] * 57)}, "hours.intervals", "LIST_TOO_LONG"),
    ({"hours": hours(OpeningInterval(7, 0, 1))}, "hours.intervals[0].day", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(-1, 0, 1))}, "hours.intervals[0].day", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(0, -1, 1))}, "hours.intervals[0].opens_minute", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(0, 1440, 1441))}, "hours.intervals[0].opens_minute", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(0, 60, 60))}, "hours.intervals[0].closes_minute", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(0, 60, 59))}, "hours.intervals[0].closes_minute", "HOURS_INVALID"),
    ({"hours": hours(OpeningInterval(0, 60, 2881))}, "hours.intervals[0].closes_minute", "HOURS_INVALID"),
    ({"version": -1}, "version", "VERSION_OUT_OF_RANGE"),
    ({"version": 2**63}, "version", "VERSION_OUT_OF_RANGE"),
]


@pytest.mark.parametrize(("changes", "field", "reason"), BAD)
def test_wrong_item_is_told_field_and_reason(changes, field, reason):
    assert broken(**changes) == [(field, reason)]


def test_every_broken_rule_is_told_at_once():
    fields = [field for field, _ in broken(item_id="", places=(), title="\x00", version=-1)]
    assert fields == ["item_id", "locations", "title", "version"]


def test_the_number_of_violations_is_bounded_whatever_is_sent():
    worst = msgspec.structs.replace(
        PLAIN,
        tags=tuple(Tag("", 2.0) for _ in range(10_000)),
        hours=hours(*[OpeningInterval(9, -1, -1)] * 10_000),
        attributes={f"\n{n}": "" for n in range(64)},
    )
    assert len(check_item(worst)) <= 2 * 64 + 3 * 56 + 2 * 64 + 20


@pytest.mark.parametrize("value", ["..", "null", "None", "__proto__", "0", "x" * 128, "A.z_0~9-"])
def test_odd_but_harmless_ids_are_taken(value):
    assert check_id("item_id", value) == []


def test_violation_names_what_is_allowed_and_what_came():
    assert check_id("user_id", "a\u202eb") == [
        Violation("user_id", "ID_CHARSET", r"may only have characters of [A-Za-z0-9._~-], got a\u202eb")
    ]


def test_messages_hold_no_raw_control_character_and_stay_short():
    nasty = "\x00\x1b\u202e\u2066\ud800" * 100
    item = msgspec.structs.replace(
        PLAIN, item_id=nasty[:100], tags=(Tag(nasty[:60]),), category=nasty[:60], owner=nasty[:60],
        title=nasty[:200], url="https://" + nasty, attributes={nasty[:60]: nasty}, hours=hours(zone=nasty),
    )  # fmt: skip
    problems = check_item(item)
    assert {v.field.partition("[")[0] for v in problems} == {
        "item_id", "tags", "category", "owner", "title", "url", "attributes", "hours.time_zone"
    }  # fmt: skip
    for problem in problems:
        assert (problem.field + problem.message).isprintable()
        assert len(problem.message) < 200


def test_both_rooms_agree_on_the_greatest_reach():
    assert MAX_REACH_M == reach.MAX_REACH_M
