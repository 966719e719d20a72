"""Items between the wire and plain values."""

from collections.abc import Callable, Iterable
from hashlib import blake2b

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from nearcast.v1 import item_pb2, location_pb2
from nearcast_catalogue.checking import (
    FIRST_SECOND,
    LAST_SECOND,
    MAX_INTERVALS,
    MAX_PLACES,
    MAX_TAGS,
    Violation,
)
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId
from nearcast_geo.area import Area
from nearcast_geo.geojson import SMALL_LIMITS, AreaError, read_area, reason_of
from nearcast_geo.point import Point, PointError, normalise
from nearcast_server.errors import InvalidRequestError
from nearcast_store.catalog.protocol import StoredItem


def to_point(field: str, message: location_pb2.LatLng) -> Point:
    """The normalised point; InvalidRequestError names the coordinate, never its value."""
    try:
        return normalise(message.latitude, message.longitude)
    except PointError as error:
        raise InvalidRequestError([Violation(f"{field}.{error.field}", error.reason, str(error))]) from None


def to_area(field: str, geometry: str) -> Area:
    """The area of a GeoJSON text; InvalidRequestError says what is wrong with it."""
    try:
        return read_area(geometry, SMALL_LIMITS)
    except AreaError as error:
        raise InvalidRequestError([Violation(field, reason_of(error), str(error))]) from None


def to_seconds(field: str, stamp: Timestamp, reason: str = "TIME_RANGE") -> float:
    """Seconds since the Unix epoch, of a time that a calendar has."""
    if not FIRST_SECOND <= stamp.seconds <= LAST_SECOND or not 0 <= stamp.nanos < 10**9:
        raise InvalidRequestError.of(
            field, reason, "must lie within the years 1 to 9999, nanos within [0, 999999999]"
        )
    # The last second has fractions that a float of that size rounds into the year 10000.
    return min(stamp.seconds + stamp.nanos / 1e9, LAST_SECOND)


def to_item(message: item_pb2.Item) -> Item:
    """The item as a plain value; what its form alone cannot be is refused here, the rest by the rule."""
    _check_lengths(message)
    if message.reach_area:
        to_area("reach_area", message.reach_area)
    return Item(
        item_id=ItemId(message.item_id),
        places=tuple(
            Place(point.lat, point.lon)
            for point in (to_point(f"locations[{i}]", place) for i, place in enumerate(message.locations))
        ),
        reach_m=message.reach_m if message.HasField("reach_m") else None,
        tags=tuple(
            Tag(tag.name, tag.relevance if tag.HasField("relevance") else 1.0) for tag in message.tags
        ),
        category=message.category,
        owner=message.owner,
        title=message.title,
        url=message.url,
        image_url=message.image_url,
        attributes=dict(message.attributes),
        starts_at=to_seconds("starts_at", message.starts_at) if message.HasField("starts_at") else None,
        expires_at=to_seconds("expires_at", message.expires_at) if message.HasField("expires_at") else None,
        hours=_to_hours(message.hours) if message.HasField("hours") else None,
        version=message.version,
        etag=message.etag[:128],
        reach_area=message.reach_area,
    )


def _check_lengths(message: item_pb2.Item) -> None:
    """Before any element is looked at."""
    for field, count, most in (
        ("locations", len(message.locations), MAX_PLACES),
        ("tags", len(message.tags), MAX_TAGS),
        ("hours.intervals", len(message.hours.intervals), MAX_INTERVALS),
    ):
        if count > most:
            raise InvalidRequestError.of(
                field, "LIST_TOO_LONG", f"must hold at most {most} entries, got {count}"
            )


def _to_hours(message: item_pb2.WeeklyHours) -> WeeklyHours:
    return WeeklyHours(
        message.time_zone,
        tuple(OpeningInterval(i.day - 1, i.opens_minute, i.closes_minute) for i in message.intervals),
    )


# What the bytes of a display message are: kept ones are of use only to whoever makes the same.
DISPLAY_FORMAT = f"1-{blake2b(item_pb2.DESCRIPTOR.serialized_pb, digest_size=6).hexdigest()}"

Mask = frozenset[str] | None
"""The fields of Item to tell; None for all."""


def to_mask(mask: FieldMask) -> Mask:
    """What a read mask asks for; READ_MASK_INVALID for what Item does not have."""
    return _wanted(mask.paths) if mask.paths else None


def painted(display: ServedItem | bytes, mask: Mask) -> bytes:
    """The bytes of an Item with these fields, of an item or of the bytes of the whole."""
    if isinstance(display, bytes):
        if mask is None:
            return display
        message = item_pb2.Item.FromString(display)
    else:
        message = to_message(display)
    return _cut(message, mask).SerializeToString()


def _cut(message: item_pb2.Item, mask: Mask) -> item_pb2.Item:
    if mask is not None:
        for field, _ in message.ListFields():
            if field.name not in mask:
                message.ClearField(field.name)
    return message


def _wanted(paths: Iterable[str]) -> Mask:
    wanted = frozenset(paths)
    if not wanted or "*" in wanted:
        return None
    unknown = sorted(wanted - set(item_pb2.Item.DESCRIPTOR.fields_by_name))
    if unknown:
        known = ", ".join(item_pb2.Item.DESCRIPTOR.fields_by_name)
        raise InvalidRequestError([Violation("read_mask", "READ_MASK_INVALID", f"may name {known}")])
    return wanted


def to_message(served: ServedItem) -> item_pb2.Item:
    """The wire's item."""
    item = served.item
    message = item_pb2.Item(
        item_id=item.item_id,
        locations=[location_pb2.LatLng(latitude=p.latitude, longitude=p.longitude) for p in item.places],
        tags=[item_pb2.Tag(name=tag.name, relevance=tag.relevance) for tag in item.tags],
        category=item.category,
        owner=item.owner,
        title=item.title,
        url=item.url,
        image_url=item.image_url,
        attributes=item.attributes,
        version=served.version,
        etag=item.etag,
        posting=served.posting,
        reach_area=item.reach_area,
        created_at=to_stamp(served.born_at),
    )
    if item.reach_m is not None:
        message.reach_m = item.reach_m
    if item.starts_at is not None:
        message.starts_at.CopyFrom(to_stamp(item.starts_at))
    if item.expires_at is not None:
        message.expires_at.CopyFrom(to_stamp(item.expires_at))
    if item.hours is not None:
        message.hours.time_zone = item.hours.time_zone
        for interval in item.hours.intervals:
            message.hours.intervals.add(
                day=item_pb2.DayOfWeek.ValueType(interval.day + 1),
                opens_minute=interval.opens_minute,
                closes_minute=interval.closes_minute,
            )
    return message


def stored_painter(mask: FieldMask) -> Callable[[StoredItem], item_pb2.Item]:
    """Builds what a read mask asks for, the time of the last change included."""
    wanted = to_mask(mask)

    def paint_stored(stored: StoredItem) -> item_pb2.Item:
        message = _cut(to_message(stored.served), wanted)
        if wanted is None or "updated_at" in wanted:
            message.updated_at.CopyFrom(to_stamp(stored.updated_at))
        return message

    return paint_stored


def to_stamp(seconds: float) -> Timestamp:
    """The wire's time, to the microsecond."""
    stamp = Timestamp()
    micros = round(seconds * 1e6)
    stamp.seconds, stamp.nanos = micros // 10**6, micros % 10**6 * 1000
    return stamp
