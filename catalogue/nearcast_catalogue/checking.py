"""What is wrong with an item, field by field. Coordinates are checked where the earth is known."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from nearcast_catalogue.echo import printable
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours, is_time_zone
from nearcast_catalogue.item import Item, Tag

MAX_ID_LENGTH = 128
MAX_MARKET_ID_LENGTH = 64
MAX_PLACES = 16
MAX_REACH_M = 500_000.0
MAX_TAGS = 64
MAX_TAG_LENGTH = 64
MAX_CATEGORY_LENGTH = 64
MAX_OWNER_LENGTH = 128
MAX_TITLE_LENGTH = 300
MAX_URL_LENGTH = 2048
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTE_KEY_LENGTH = 64
MAX_ATTRIBUTE_VALUE_LENGTH = 1024
MAX_ATTRIBUTES_BYTES = 16 * 1024
MAX_INTERVALS = 56
MAX_VERSION = 2**63 - 1
FIRST_SECOND, LAST_SECOND = -62_135_596_800.0, 253_402_300_799.0  # years 1 to 9999

_SLUG = re.compile(r"[A-Za-z0-9._~-]*")
# Postgres holds no NUL and UTF-8 no lone surrogate; the other control characters are never meant.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_OR_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Violation(msgspec.Struct, frozen=True):
    """One broken rule: the path of the field, a stable reason for machines, what must hold for people."""

    field: str
    reason: str
    message: str


def check_item(item: Item) -> list[Violation]:
    """Return every broken rule of an item, none if it is right."""
    return [
        *check_id("item_id", item.item_id),
        *_check_places(item),
        *_check_reach(item),
        *_check_tags(item.tags),
        *_check_texts(item),
        *_check_url("url", item.url),
        *_check_url("image_url", item.image_url),
        *_check_attributes(item.attributes),
        *_check_times(item.starts_at, item.expires_at),
        *_check_hours(item.hours),
        *_check_version(item.version),
    ]


def check_id(field: str, value: str) -> list[Violation]:
    """Return what is wrong with an id of any kind, wherever it was sent."""
    if not 1 <= len(value) <= MAX_ID_LENGTH:
        return [Violation(field, "ID_LENGTH", f"must have 1 to {MAX_ID_LENGTH} characters, got {len(value)}")]
    if not _SLUG.fullmatch(value):
        return [_broken_charset(field, value)]
    return []


def check_market_id(field: str, value: str) -> list[Violation]:
    """Return what is wrong with the id of a market, wherever it was sent."""
    most = MAX_MARKET_ID_LENGTH
    if not 1 <= len(value) <= most:
        return [Violation(field, "ID_LENGTH", f"must have 1 to {most} characters, got {len(value)}")]
    return check_id(field, value)


def check_display_name(field: str, value: str) -> list[Violation]:
    """Return what is wrong with a name for people."""
    return list(_check_text(field, value, MAX_TITLE_LENGTH))


def _check_places(item: Item) -> Iterator[Violation]:
    if not item.places:
        yield Violation("locations", "LOCATION_REQUIRED", "must hold at least one location")
    yield from _check_count("locations", len(item.places), MAX_PLACES)


def _check_reach(item: Item) -> Iterator[Violation]:
    reach_m = item.reach_m
    if reach_m is not None and item.reach_area:
        yield Violation("reach_area", "REACH_CONFLICT", "must not be set together with reach_m")
    if reach_m is not None and not 0.0 < reach_m <= MAX_REACH_M:
        rule = f"must be above 0 and at most {MAX_REACH_M:.0f} metres, got {reach_m}; leave it out for none"
        yield Violation("reach_m", "REACH_OUT_OF_RANGE", rule)


def _check_tags(tags: tuple[Tag, ...]) -> Iterator[Violation]:
    yield from _check_count("tags", len(tags), MAX_TAGS)
    seen: set[str] = set()
    for index, tag in enumerate(tags[:MAX_TAGS]):
        field = f"tags[{index}]"
        if not 1 <= len(tag.name) <= MAX_TAG_LENGTH:
            rule = f"must have 1 to {MAX_TAG_LENGTH} characters, got {len(tag.name)}"
            yield Violation(f"{field}.name", "TAG_INVALID", rule)
        elif _CONTROL.search(tag.name):
            rule = f"must have no control characters, got {printable(tag.name)}"
            yield Violation(f"{field}.name", "TAG_INVALID", rule)
        elif tag.name in seen:
            rule = f"must not name a tag twice, got {printable(tag.name)} again"
            yield Violation(f"{field}.name", "TAG_INVALID", rule)
        if not 0.0 <= tag.relevance <= 1.0:
            yield Violation(f"{field}.relevance", "TAG_INVALID", f"must be from 0 to 1, got {tag.relevance}")
        seen.add(tag.name)


def _check_texts(item: Item) -> Iterator[Violation]:
    yield from _check_category(item.category)
    yield from _check_text("owner", item.owner, MAX_OWNER_LENGTH)
    yield from _check_text("title", item.title, MAX_TITLE_LENGTH)


def _check_category(category: str) -> Iterator[Violation]:
    if len(category) > MAX_CATEGORY_LENGTH:
        rule = f"must have at most {MAX_CATEGORY_LENGTH} characters, got {len(category)}"
        yield Violation("category", "TEXT_TOO_LONG", rule)
    elif not _SLUG.fullmatch(category):
        yield _broken_charset("category", category)


def _check_text(field: str, value: str, limit: int) -> Iterator[Violation]:
    if len(value) > limit:
        rule = f"must have at most {limit} characters, got {len(value)}"
        yield Violation(field, "TEXT_TOO_LONG", rule)
    elif _CONTROL.search(value):
        rule = f"must have no control characters, got {printable(value)}"
        yield Violation(field, "TEXT_CHARSET", rule)


def _check_url(field: str, value: str) -> Iterator[Violation]:
    if len(value) > MAX_URL_LENGTH:
        rule = f"must have at most {MAX_URL_LENGTH} characters, got {len(value)}"
        yield Violation(field, "URL_INVALID", rule)
    elif value and not _is_web_address(value):
        yield Violation(field, "URL_INVALID", "must be a full http or https address without spaces")


def _is_web_address(value: str) -> bool:
    # The parser silently drops line breaks, so they are looked for first.
    if _CONTROL_OR_SPACE.search(value):
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _check_attributes(attributes: dict[str, str]) -> Iterator[Violation]:
    if len(attributes) > MAX_ATTRIBUTES:
        rule = f"must have at most {MAX_ATTRIBUTES} entries, got {len(attributes)}"
        yield Violation("attributes", "ATTRIBUTES_LIMIT", rule)
        return
    for key, value in attributes.items():
        yield from _check_attribute(key, value)
    size = sum(_byte_count(key) + _byte_count(value) for key, value in attributes.items())
    if size > MAX_ATTRIBUTES_BYTES:
        rule = f"must have at most {MAX_ATTRIBUTES_BYTES} bytes in all, got {size}"
        yield Violation("attributes", "ATTRIBUTES_LIMIT", rule)


def _check_attribute(key: str, value: str) -> Iterator[Violation]:
    for reason, rule in _broken_by_attribute(key, value):
        yield Violation(f"attributes[{printable(key)}]", reason, rule)


def _broken_by_attribute(key: str, value: str) -> Iterator[tuple[str, str]]:
    if not 1 <= len(key) <= MAX_ATTRIBUTE_KEY_LENGTH:
        rule = f"must have a key of 1 to {MAX_ATTRIBUTE_KEY_LENGTH} characters, got {len(key)}"
        yield "ATTRIBUTES_LIMIT", rule
    if len(value) > MAX_ATTRIBUTE_VALUE_LENGTH:
        rule = f"must have a value of at most {MAX_ATTRIBUTE_VALUE_LENGTH} characters, got {len(value)}"
        yield "ATTRIBUTES_LIMIT", rule
    if _CONTROL.search(key) or _CONTROL_BUT_LAYOUT.search(value):
        yield "TEXT_CHARSET", "must have no control characters but line breaks and tabs in values"


def _check_times(starts_at: float | None, expires_at: float | None) -> Iterator[Violation]:
    wrong = False
    for field, value in (("starts_at", starts_at), ("expires_at", expires_at)):
        if value is not None and not FIRST_SECOND <= value <= LAST_SECOND:
            wrong = True
            yield Violation(field, "TIME_RANGE", "must lie within the years 1 to 9999")
    if not wrong and starts_at is not None and expires_at is not None and expires_at <= starts_at:
        yield Violation("expires_at", "TIME_RANGE", "must lie after starts_at")


def _check_hours(hours: WeeklyHours | None) -> Iterator[Violation]:
    if hours is None:
        return
    if not is_time_zone(hours.time_zone):
        rule = f"must be an IANA time zone such as Europe/Oslo, got {printable(hours.time_zone)}"
        yield Violation("hours.time_zone", "TIME_ZONE_UNKNOWN", rule)
    yield from _check_count("hours.intervals", len(hours.intervals), MAX_INTERVALS)
    for index, interval in enumerate(hours.intervals[:MAX_INTERVALS]):
        yield from _check_interval(f"hours.intervals[{index}]", interval)


def _check_interval(field: str, interval: OpeningInterval) -> Iterator[Violation]:
    opens, closes = interval.opens_minute, interval.closes_minute
    if not 0 <= interval.day <= 6:
        yield Violation(f"{field}.day", "HOURS_INVALID", "must be a day from Monday to Sunday")
    if not 0 <= opens <= 1439:
        yield Violation(f"{field}.opens_minute", "HOURS_INVALID", f"must be from 0 to 1439, got {opens}")
    if not max(opens, 0) < closes <= 2880:
        rule = f"must be after opens_minute and at most 2880, got {closes}"
        yield Violation(f"{field}.closes_minute", "HOURS_INVALID", rule)


def _check_version(version: int) -> Iterator[Violation]:
    if not 0 <= version <= MAX_VERSION:
        yield Violation("version", "VERSION_OUT_OF_RANGE", f"must be from 0 to {MAX_VERSION}")


def _check_count(field: str, count: int, limit: int) -> Iterator[Violation]:
    if count > limit:
        yield Violation(field, "LIST_TOO_LONG", f"must hold at most {limit} entries, got {count}")


def _byte_count(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _broken_charset(field: str, value: str) -> Violation:
    return Violation(
        field, "ID_CHARSET", f"may only have characters of [A-Za-z0-9._~-], got {printable(value)}"
    )
