"""Recommend and Nearby with values that are none, and with strange ones that are."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from nearcast.v1 import person_pb2, recommend_pb2
from tests.gateways import Gateway, Tenant, at, nearby, recommend
from tests.geojsons import polygon
from tests.integration.hostile.rows import Row, check_refused, params

CHARSET = "may only have characters of [A-Za-z0-9._~-]"
LENGTH = "must have 1 to 128 characters"
RADIUS = "must be above 0 and at most 100000 metres"
LATITUDE, LONGITUDE = "must be from -90 to 90 degrees", "must be from -180 to 180 degrees"
FINITE = "must be a finite number of degrees"
QUERIES = (recommend_pb2.NearbyRequest, recommend_pb2.RecommendRequest)


def both(name: str, reason: str, field: str, rule: str, *hidden: str, **fields: Any) -> Iterator[Row]:
    """The same bad value in both queries."""
    fields = {"location": at(59.91, 10.75), **fields}
    for query in QUERIES:
        request = query(**{name: value for name, value in fields.items() if value is not None})
        yield Row(f"{query.DESCRIPTOR.name} {name}", request, reason, field, rule, hidden)


def places() -> Iterator[Row]:
    for lat in (90.0001, -91.0, 1e308):
        yield from both(
            f"latitude {lat}",
            "LATITUDE_OUT_OF_RANGE",
            "location.latitude",
            LATITUDE,
            str(lat),
            location=at(lat, 200.0),
        )
    yield from both(
        "swapped",
        "LATITUDE_OUT_OF_RANGE",
        "location.latitude",
        "latitude and longitude look swapped",
        "120.5",
        location=at(120.5, 59.9),
    )
    for lon in (180.0001, 360.0, -540.0):
        yield from both(
            f"longitude {lon}",
            "LONGITUDE_OUT_OF_RANGE",
            "location.longitude",
            LONGITUDE,
            str(lon),
            "12.345",
            location=at(12.345, lon),
        )
    for wrong in (math.nan, math.inf, -math.inf):
        yield from both(f"latitude {wrong}", "NOT_FINITE", "location.latitude", FINITE, location=at(wrong, 0))
        yield from both(
            f"longitude {wrong}", "NOT_FINITE", "location.longitude", FINITE, location=at(0, wrong)
        )
    yield from both(
        "no location", "LOCATION_REQUIRED", "location", "latitude and longitude in degrees", location=None
    )


def sizes() -> Iterator[Row]:
    for radius in (0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e308, 100_000.01):
        yield from both(f"radius {radius}", "RADIUS_OUT_OF_RANGE", "radius_m", RADIUS, radius_m=radius)
    for limit in (-1, -(2**31)):
        yield from both(f"limit {limit}", "LIMIT_OUT_OF_RANGE", "limit", "must not be negative", limit=limit)


def filters() -> Iterator[Row]:
    for field in ("tags_any", "tags_all", "tags_none", "categories"):
        for name, values, reason, place, rule in (
            ("65", ["x"] * 65, "LIST_TOO_LONG", "", "must hold at most 64 entries, got 65"),
            ("an empty name", ["x", ""], "TEXT_TOO_LONG", "[1]", "must have 1 to 64 characters"),
            ("a long name", ["\u202e" * 65], "TEXT_TOO_LONG", "[0]", "must have 1 to 64 characters"),
        ):
            request_filter = recommend_pb2.Filter(**{field: values})  # type: ignore[arg-type]
            yield from both(f"{field} {name}", reason, f"filter.{field}{place}", rule, filter=request_filter)
    for name, ids, reason, place, rule in (
        ("100k", ["x"] * 100_000, "LIST_TOO_LONG", "", "must hold at most 1000 entries, got 100000"),
        ("a bad id", ["fine", "a b"], "ID_CHARSET", "[1]", CHARSET),
        ("an empty id", [""], "ID_LENGTH", "[0]", LENGTH),
    ):
        request_filter = recommend_pb2.Filter(exclude_item_ids=ids)
        field = f"filter.exclude_item_ids{place}"
        yield from both(f"exclude {name}", reason, field, rule, filter=request_filter)


def areas() -> Iterator[Row]:
    bow_tie = polygon([(0.5, 0.5), (1.5, 1.5), (1.5, 0.5), (0.5, 1.5)])
    long_ring = polygon([(-170.0 + 0.01 * n, n % 2) for n in range(501)])
    for name, text, reason, rule in (
        ("no JSON", "POLYGON((0 0, 1 1, 1 0, 0 0))", "POLYGON_MALFORMED", "GeoJSON geometry"),
        ("a point", '{"type": "Point", "coordinates": [1, 2]}', "POLYGON_MALFORMED", "Polygon or Multi"),
        ("strange", '{"type": "\u202e\\u0000"}', "POLYGON_MALFORMED", "GeoJSON geometry"),
        ("deep", "[" * 30_000, "POLYGON_MALFORMED", "GeoJSON geometry"),
        ("NaN", polygon([(0, 0), (1, math.nan), (1, 1)]), "POLYGON_MALFORMED", "GeoJSON geometry"),
        ("no ring", '{"type": "Polygon", "coordinates": []}', "POLYGON_INVALID", "empty list"),
        ("open", '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1]]]}', "POLYGON_INVALID", "closed"),
        ("two points", polygon([(0, 0), (1, 1)]), "POLYGON_INVALID", "at least 4 positions"),
        ("one point", polygon([(3, 3)] * 9), "POLYGON_INVALID", "at least 3 different positions"),
        ("a bow-tie", bow_tie, "POLYGON_INVALID", "crosses itself near longitude 1.000, latitude 1.000"),
        ("501 points", long_ring, "POLYGON_TOO_LARGE", "at most 500 positions, got 502"),
        ("32 KiB", " " * 32_769, "POLYGON_TOO_LARGE", "at most 32768 bytes, got 32769"),
        ("latitude", polygon([(0, 0), (1, 91), (1, 1)]), "LATITUDE_OUT_OF_RANGE", LATITUDE),
        ("longitude", polygon([(0, 0), (181, 1), (1, 1)]), "LONGITUDE_OUT_OF_RANGE", LONGITUDE),
    ):
        asked = recommend_pb2.Filter(polygon=text)
        yield from both(f"polygon {name}", reason, "filter.polygon", rule, filter=asked)
    for name, value, reason, rule in (
        ("unknown", "atlantis", "MARKET_UNKNOWN", "id of an enabled market, got atlantis"),
        ("control", "\x00\u202e", "MARKET_UNKNOWN", "got \\x00\\u202e"),
        ("long", "x" * 65, "TEXT_TOO_LONG", "1 to 64 characters"),
    ):
        asked = recommend_pb2.Filter(market=value)
        yield from both(f"market {name}", reason, "filter.market", rule, filter=asked)


def masks_and_pages() -> Iterator[Row]:
    for path in ("nope", "locations.latitude", "item.title", "title,url", "", "\x00"):
        mask = FieldMask(paths=["title", path])
        yield from both(
            f"mask {path!r}", "READ_MASK_INVALID", "read_mask", "may name item_id", read_mask=mask
        )
    for name, token in {
        "text": "not a token",
        "base64": "AAAA" * 20,
        "long": "A" * 100_000,
        "sql": "'; drop table items; --",
        "control": "\x00\u202e",
        "accents": "é" * 100,
    }.items():
        yield from both(f"page {name}", "PAGE_TOKEN_INVALID", "page_token", "start again", page_token=token)


def people() -> Iterator[Row]:
    """What only Recommend takes: ids of people and sessions, and the surface."""

    def ids() -> Iterator[tuple[str, str, str, str]]:
        for length in (129, 257, 10_000):
            yield f"{length} characters", "x" * length, "ID_LENGTH", LENGTH
        for name, value in {
            "NUL": "a\x00b",
            "CR": "a\r",
            "LF": "a\n",
            "braces": "{t1}",
            "colon": "a:b",
            "star": "*",
            "space": "a b",
            "right to left": "a\u202eb",
            "emoji": "🙂",
            "percent": "%00",
            "sql": "';drop-table",
            "mail": "ann@example.org",
            "slash": "../etc",
        }.items():
            yield name, value, "ID_CHARSET", CHARSET

    for name, value, reason, rule in ids():
        for field, person in (
            ("person.user_id", person_pb2.Person(user_id=value)),
            ("person.anonymous_id", person_pb2.Person(anonymous_id=value)),
        ):
            yield Row(f"{field} {name}", recommend(1, 1, person=person), reason, field, rule)
        yield Row(f"session {name}", recommend(1, 1, session_id=value), reason, "session_id", rule)
    for field in ("user_id", "anonymous_id"):
        empty = person_pb2.Person(**{field: ""})
        yield Row(f"empty {field}", recommend(1, 1, person=empty), "ID_LENGTH", f"person.{field}", LENGTH)
    yield Row("surface", recommend(1, 1, scenario="x"), "SCENARIO_UNKNOWN", "scenario", "one of default")
    yield Row("sql", recommend(1, 1, scenario="' or 1=1"), "SCENARIO_UNKNOWN", "scenario", "one of default")
    yield Row("segment", recommend(1, 1, segment="x" * 65), "TEXT_TOO_LONG", "segment", "1 to 64 characters")
    yield Row(
        "long",
        recommend(1, 1, scenario="x" * 65),
        "TEXT_TOO_LONG",
        "scenario",
        "must have 1 to 64 characters",
    )


@params([*places(), *sizes(), *filters(), *areas(), *masks_and_pages(), *people()])
async def test_a_wrong_value_is_refused_with_its_field_and_rule(
    gateway: Gateway, tenant: Tenant, row: Row
) -> None:
    await check_refused(gateway, tenant, row)


def strange() -> Iterator[tuple[str, Message]]:
    for lat, lon in (
        (0.0, 0.0),
        (-0.0, -0.0),
        (5e-324, -5e-324),
        (59.91234567890123456, 10.75234567890123456),
        (90.0, 0.0),
        (-90.0, 180.0),
        (89.9999, -179.9999),
        (0.0, 180.0),
        (0.0, -180.0),
    ):
        for query in (nearby, recommend):
            yield f"{query.__name__} at {lat}, {lon}", query(lat, lon, radius_m=100_000.0)
    for value in ("..", "null", "None", "__proto__", "-", "~", "a" * 128, "0"):
        person = person_pb2.Person(user_id=value)
        yield f"id {value[:9]}", recommend(1, 1, person=person, session_id=value)
    excluded = recommend_pb2.Filter(exclude_item_ids=["unknown"] * 1000)
    yield "1000 excluded twice over", recommend(1, 1, filter=excluded)
    yield (
        "tags of any text",
        nearby(1, 1, filter=recommend_pb2.Filter(tags_any=["\x00", "\u202e", "🙂" * 64])),
    )
    yield "every field of the mask", nearby(1, 1, read_mask=FieldMask(paths=["*"]))
    yield "a mask of repeated paths", nearby(1, 1, read_mask=FieldMask(paths=["title"] * 5000))
    yield "a session token that is none", recommend(1, 1, session_token="\x00 nothing")
    yield "a session token too long", recommend(1, 1, session_token="A" * 100_000)
    yield "nobody", recommend(1, 1, person=person_pb2.Person())
    yield "the smallest radius", recommend(1, 1, radius_m=5e-324)


@pytest.mark.parametrize("request_", [pytest.param(made, id=name) for name, made in strange()])
async def test_a_strange_value_that_keeps_the_rules_is_answered(
    gateway: Gateway, tenant: Tenant, request_: Message
) -> None:
    answer = await gateway.call(tenant, request_)
    assert len(answer.items) == 0
    assert answer.next_page_token == ""
    assert answer.radius_used_m > 0


@pytest.mark.parametrize(("asked", "applied"), [(0, 20), (1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
async def test_a_limit_is_coerced_and_the_one_applied_is_told(
    gateway: Gateway, tenant: Tenant, asked: int, applied: int
) -> None:
    for request in (nearby(1, 1, limit=asked), recommend(1, 1, limit=asked)):
        assert (await gateway.call(tenant, request)).limit_applied == applied


async def test_a_tenant_without_items_and_without_counts_gets_an_empty_slate(
    gateway: Gateway, tenant: Tenant
) -> None:
    answer = await gateway.call(tenant, recommend(59.91, 10.75, explain=True))
    assert not answer.items
    assert answer.request_id
    assert 0 < answer.feed_propensity <= 1
    assert answer.policy_revision == 1
    assert answer.session_token
