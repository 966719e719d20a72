"""The catalogue's calls with items, ids and pages that are none."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from nearcast.v1 import catalog_pb2, item_pb2, location_pb2, market_pb2, outcome_pb2, stats_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from tests.gateways import Gateway, Tenant, at, item
from tests.integration.hostile.rows import Row, assert_unharmed, check_refused, params, refusal_of

CHARSET = "may only have characters of [A-Za-z0-9._~-]"
BIGGEST = 2**63 - 1
INVALID, MISSING, ABORTED = 3, 5, 10


def upsert(*items: item_pb2.Item) -> catalog_pb2.UpsertItemsRequest:
    return catalog_pb2.UpsertItemsRequest(items=items)


def delete(*item_ids: str, **other: Any) -> catalog_pb2.DeleteItemsRequest:
    return catalog_pb2.DeleteItemsRequest(item_ids=item_ids, **other)


def whole_calls() -> Iterator[Row]:
    for name, empty, long in (
        ("items", upsert(), upsert(*[item_pb2.Item()] * 501)),
        ("item_ids", delete(), delete(*["x"] * 501)),
    ):
        yield Row(f"no {name}", empty, "EMPTY_BATCH", name, "at least one entry")
        yield Row(f"501 {name}", long, "BATCH_TOO_LARGE", name, "at most 500 entries, got 501")
    for many_markets in (
        catalog_pb2.UpsertMarketsRequest(markets=[market_pb2.Market()] * 101),
        catalog_pb2.DeleteMarketsRequest(market_ids=["x"] * 101),
    ):
        name = many_markets.DESCRIPTOR.fields[0].name
        yield Row(f"no {name}", type(many_markets)(), "EMPTY_BATCH", name, "at least one entry")
        yield Row(f"101 {name}", many_markets, "BATCH_TOO_LARGE", name, "at most 100 entries, got 101")
    endless = upsert(*[item_pb2.Item()] * 500_000)
    yield Row("half a million items", endless, "BATCH_TOO_LARGE", "items", "send several calls")
    for bad, reason, rule in (
        ("", "ID_LENGTH", "1 to 128"),
        ("a b", "ID_CHARSET", CHARSET),
        ("x" * 129, "ID_LENGTH", "1 to 128"),
    ):
        get = catalog_pb2.GetItemRequest(item_id=bad)
        yield Row(f"get {bad[:9]!r}", get, reason, "item_id", rule)
        stats = stats_pb2.GetStatsRequest(item_ids=["fine", bad])
        yield Row(f"stats of {bad[:9]!r}", stats, reason, "item_ids[1]", rule)
    many = stats_pb2.GetStatsRequest(item_ids=["x"] * 501)
    yield Row("stats of 501", many, "LIST_TOO_LONG", "item_ids", "at most 500 entries, got 501")
    for page in (
        catalog_pb2.ListItemsRequest(page_size=-1),
        catalog_pb2.ListItemsRequest(page_size=-(2**31)),
        catalog_pb2.ListMarketsRequest(page_size=-1),
        stats_pb2.GetStatsRequest(page_size=-1),
    ):
        name = page.DESCRIPTOR.name
        yield Row(f"{name} {page.page_size}", page, "PAGE_SIZE_OUT_OF_RANGE", "page_size", "not be negative")
    for token in ("x", "AAAA" * 30, "A" * 5000, "'; drop table items; --", "\0", "ü" * 40):
        listed = catalog_pb2.ListItemsRequest(page_token=token)
        yield Row(f"page {token[:9]!r}", listed, "PAGE_TOKEN_INVALID", "page_token", "")
        markets = catalog_pb2.ListMarketsRequest(page_token=token)
        yield Row(f"markets {token[:9]!r}", markets, "PAGE_TOKEN_INVALID", "page_token", "")
    mask = FieldMask(paths=["title", "secret"])
    for request in (
        catalog_pb2.GetItemRequest(item_id="x", read_mask=mask),
        catalog_pb2.ListItemsRequest(read_mask=mask),
    ):
        name = request.DESCRIPTOR.name
        yield Row(f"{name} mask", request, "READ_MASK_INVALID", "read_mask", "may name item_id")
    absent = catalog_pb2.GetItemRequest(item_id="absent")
    yield Row("get what is not", absent, "ITEM_NOT_FOUND", "", "", code="NOT_FOUND")


@params(whole_calls())
async def test_a_call_that_breaks_a_rule_is_refused(gateway: Gateway, tenant: Tenant, row: Row) -> None:
    await check_refused(gateway, tenant, row)


Case = tuple[str, item_pb2.Item, str, str, str]


def stamp(seconds: int, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=seconds, nanos=nanos)


def texted(field: str, value: Any) -> dict[str, Any]:
    return {field: value}


def texts() -> Iterator[Case]:
    for name, value, reason, rule in (
        ("empty", "", "ID_LENGTH", "1 to 128 characters"),
        ("long", "x" * 129, "ID_LENGTH", "1 to 128 characters"),
        ("space", "a b", "ID_CHARSET", CHARSET),
        ("NUL", "a\0", "ID_CHARSET", CHARSET),
        ("right to left", "a\u202e", "ID_CHARSET", CHARSET),
        ("hash tag", "}{t2", "ID_CHARSET", CHARSET),
    ):
        yield f"id {name}", item(value), reason, "item_id", rule
    for field, most in (("title", 300), ("owner", 128), ("category", 64)):
        long = item("a", **texted(field, "x" * (most + 1)))
        yield f"{field} long", long, "TEXT_TOO_LONG", field, f"at most {most} characters, got {most + 1}"
    yield "title 10 KB", item("a", title="x" * 10_240), "TEXT_TOO_LONG", "title", "at most 300"
    for field in ("title", "owner"):
        for char in ("\0", "\n", "\x1b", "\x7f", "\x85"):
            name = f"{field} {char!r}"
            yield name, item("a", **texted(field, f"a{char}")), "TEXT_CHARSET", field, "no control characters"
    yield "category", item("a", category="a/b"), "ID_CHARSET", "category", CHARSET
    for field in ("url", "image_url"):
        for url in (
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://",
            "//host/path",
            "https://a b",
            "https://a\0",
            "https://[::1",
            "https://h:99999/",
            "x" * 2049,
        ):
            yield f"{field} {url[:16]!r}", item("a", **texted(field, url)), "URL_INVALID", field, "must"
    for name, attributes, reason, rule in (
        ("65", {str(n): "" for n in range(65)}, "ATTRIBUTES_LIMIT", "at most 64 entries, got 65"),
        ("long key", {"k" * 65: ""}, "ATTRIBUTES_LIMIT", "1 to 64 characters"),
        ("empty key", {"": "x"}, "ATTRIBUTES_LIMIT", "1 to 64 characters"),
        ("long value", {"k": "v" * 1025}, "ATTRIBUTES_LIMIT", "at most 1024 characters"),
        ("large", {str(n): "v" * 1000 for n in range(20)}, "ATTRIBUTES_LIMIT", "bytes in all"),
        ("NUL", {"k": "\0"}, "TEXT_CHARSET", "no control characters"),
    ):
        yield f"attributes {name}", item("a", attributes=attributes), reason, "attributes", rule


def shapes() -> Iterator[Case]:
    yield "no place", item_pb2.Item(item_id="a"), "LOCATION_REQUIRED", "locations", "at least one"
    crowd = item_pb2.Item(item_id="a", locations=[at(1, 1)] * 17)
    yield "17 places", crowd, "LIST_TOO_LONG", "locations", "at most 16 entries, got 17"
    for name, place, reason, field in (
        ("latitude", at(91, 0), "LATITUDE_OUT_OF_RANGE", "latitude"),
        ("longitude", at(0, -181), "LONGITUDE_OUT_OF_RANGE", "longitude"),
        ("NaN", at(math.nan, 0), "NOT_FINITE", "latitude"),
        ("infinite", at(0, math.inf), "NOT_FINITE", "longitude"),
    ):
        wrong = item_pb2.Item(item_id="a", locations=[at(1, 1), place])
        yield name, wrong, reason, f"locations[1].{field}", "must be"
    for reach in (0.0, -1.0, math.nan, math.inf, 500_000.1):
        yield (
            f"reach {reach}",
            item("a", reach_m=reach),
            "REACH_OUT_OF_RANGE",
            "reach_m",
            "above 0 and at most",
        )
    for name, tags, field, rule in (
        ("empty", [item_pb2.Tag(name="")], "tags[0].name", "1 to 64"),
        ("long", [item_pb2.Tag(name="x" * 65)], "tags[0].name", "1 to 64"),
        ("control", [item_pb2.Tag(name="a\n")], "tags[0].name", "no control"),
        ("twice", [item_pb2.Tag(name="a")] * 2, "tags[1].name", "twice"),
        ("above 1", [item_pb2.Tag(name="a", relevance=1.01)], "tags[0].relevance", "0 to 1"),
        ("NaN", [item_pb2.Tag(name="a", relevance=math.nan)], "tags[0].relevance", "0 to 1"),
    ):
        yield f"tag {name}", item("a", tags=tags), "TAG_INVALID", field, rule
    crowd = item("a", tags=[item_pb2.Tag(name=str(n)) for n in range(1000)])
    yield "1000 tags", crowd, "LIST_TOO_LONG", "tags", "at most 64 entries, got 1000"
    yield "version", item("a", version=-1), "VERSION_OUT_OF_RANGE", "version", "from 0 to"
    yield "version min", item("a", version=-(2**63)), "VERSION_OUT_OF_RANGE", "version", "from 0 to"


def times() -> Iterator[Case]:
    for field in ("starts_at", "expires_at"):
        for name, at_time in {
            "2^62": stamp(2**62),
            "year 0": stamp(-62_135_596_801),
            "year 10000": stamp(253_402_300_800),
            "nanos -1": stamp(0, -1),
            "nanos 10^9": stamp(0, 10**9),
        }.items():
            wrong = item("a", **texted(field, at_time))
            yield f"{field} {name}", wrong, "TIME_RANGE", field, "years 1 to 9999"
    for name, start, end in (("reversed", 200, 100), ("equal", 100, 100)):
        wrong = item("a", starts_at=stamp(start), expires_at=stamp(end))
        yield name, wrong, "TIME_RANGE", "expires_at", "after starts_at"
    for zone in ("", "Mars/Olympus", "../../etc/passwd", "Europe/Oslo\0", "x" * 5000):
        hours = item_pb2.WeeklyHours(time_zone=zone)
        field = "hours.time_zone"
        yield f"zone {zone[:9]!r}", item("a", hours=hours), "TIME_ZONE_UNKNOWN", field, "IANA time zone"
    for name, day, opens, closes, field in (
        ("no day", 0, 0, 60, "day"),
        ("day 99", 99, 0, 60, "day"),
        ("day -1", -1, 0, 60, "day"),
        ("opens early", 1, -1, 60, "opens_minute"),
        ("opens late", 1, 1440, 1500, "opens_minute"),
        ("closes first", 1, 600, 600, "closes_minute"),
        ("closes late", 1, 600, 2881, "closes_minute"),
        ("wild", 1, 0, 2**31 - 1, "closes_minute"),
    ):
        interval = item_pb2.OpeningInterval(day=day, opens_minute=opens, closes_minute=closes)  # type: ignore[arg-type]
        hours = item_pb2.WeeklyHours(time_zone="Europe/Oslo", intervals=[interval])
        yield name, item("a", hours=hours), "HOURS_INVALID", f"hours.intervals[0].{field}", "must be"
    hours = item_pb2.WeeklyHours(time_zone="UTC", intervals=[item_pb2.OpeningInterval()] * 57)
    yield "57 intervals", item("a", hours=hours), "LIST_TOO_LONG", "hours.intervals", "at most 56"


def told(result: catalog_pb2.ItemResult) -> tuple[int, str]:
    return result.outcome.code, ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")


@pytest.mark.parametrize("case", [pytest.param(c, id=c[0]) for c in (*texts(), *shapes(), *times())])
async def test_a_bad_item_is_refused_alone(gateway: Gateway, tenant: Tenant, case: Case) -> None:
    _, bad, reason, field, rule = case
    good = [item("good-1", title="good"), item("good-2", title="good")]
    await gateway.call(tenant, upsert(*good))
    before = await gateway.state(tenant)
    answer = await gateway.call(tenant, upsert(good[0], bad, good[1]), role="backend")
    first, result, last = answer.results
    assert told(result) == (INVALID, reason)
    assert result.outcome.field.startswith(field)
    assert rule in result.outcome.message
    assert result.outcome.message.isprintable()
    assert result.outcome.advice == outcome_pb2.ADVICE_DROP
    assert (result.item_id, result.posting, result.etag) == (bad.item_id[:128], 0, "")
    assert told(first) == told(last) == (0, "UNSPECIFIED")
    items, postings, outbox, log = before
    await assert_unharmed(gateway, tenant, (items, postings, outbox + 2, log))


async def test_an_id_that_stands_twice_counts_once(gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call(tenant, upsert(item("twice", title="first"), item("twice", title="second")))
    assert [told(result) for result in answer.results] == [
        (0, "UNSPECIFIED"),
        (INVALID, "DUPLICATE_ID_IN_BATCH"),
    ]
    got = await gateway.call(tenant, catalog_pb2.GetItemRequest(item_id="twice"))
    assert got.item.title == "first"
    deleted = await gateway.call(tenant, delete("twice", "twice", "never-was"))
    assert [told(result) for result in deleted.results] == [
        (0, "UNSPECIFIED"),
        (INVALID, "DUPLICATE_ID_IN_BATCH"),
        (MISSING, "ITEM_NOT_FOUND"),
    ]


async def test_what_is_gone_is_not_found_unless_that_is_allowed(gateway: Gateway, tenant: Tenant) -> None:
    await gateway.call(tenant, upsert(item("gone")))
    await gateway.call(tenant, delete("gone"))
    assert told((await gateway.call(tenant, delete("gone"))).results[0]) == (MISSING, "ITEM_NOT_FOUND")
    again = await gateway.call(tenant, delete("gone", "never-was", "a b", allow_missing=True))
    assert [told(result) for result in again.results] == [
        (0, "UNSPECIFIED"),
        (0, "UNSPECIFIED"),
        (INVALID, "ID_CHARSET"),
    ]
    refusal = await refusal_of(gateway.call(tenant, catalog_pb2.GetItemRequest(item_id="gone")))
    assert (refusal.code, refusal.reason) == ("NOT_FOUND", "ITEM_NOT_FOUND")


async def test_an_old_version_and_a_stale_etag_overwrite_nothing(gateway: Gateway, tenant: Tenant) -> None:
    written = (await gateway.call(tenant, upsert(item("kept", version=5)))).results[0]
    answer = await gateway.call(tenant, upsert(item("kept", version=4, title="older")))
    assert told(answer.results[0]) == (ABORTED, "VERSION_STALE")
    assert answer.results[0].version == 5
    for etag in ("someone-elses", "\0", "x" * 10_000, "é"):
        stale = await gateway.call(tenant, upsert(item("kept", etag=etag, title="stale")))
        assert told(stale.results[0]) == (ABORTED, "ETAG_MISMATCH")
    changed = await gateway.call(tenant, upsert(item("kept", etag=written.etag, title="new")))
    assert told(changed.results[0]) == (0, "UNSPECIFIED")
    assert changed.results[0].etag != written.etag


async def test_the_highest_version_can_be_written_and_nothing_after_it_breaks(
    gateway: Gateway, tenant: Tenant
) -> None:
    top = await gateway.call(tenant, upsert(item("top", version=BIGGEST, title="a")))
    assert (told(top.results[0]), top.results[0].version) == ((0, "UNSPECIFIED"), BIGGEST)
    for request in (upsert(item("top", title="b")), delete("top"), upsert(item("top", title="c"))):
        answer = await gateway.call(tenant, request)
        assert answer.results[0].outcome.code in {0, ABORTED}


STRANGE = [
    item("..", title="h\u0335e\u202e 🙂 \uffff", owner="\u200f", category="null"),
    item("__proto__", attributes={"__proto__": "line\nbreak\ttab", "é": "🙂" * 1024}),
    item("a" * 128, 90.0, 180.0, reach_m=5e-324),
    item("-", -90.0, -0.0, reach_m=500_000.0),
    item("~", tags=[item_pb2.Tag(name="🙂" * 64, relevance=0.0), item_pb2.Tag(name="'--", relevance=5e-324)]),
    item("times", starts_at=stamp(-62_135_596_800), expires_at=stamp(253_402_300_799, 999_999_999)),
    item("url", url="https://ex%61mple.org:443/?q='--&x=<script>#f", image_url="HTTP://[::1]/a"),
    item_pb2.Item(item_id="places", locations=[location_pb2.LatLng()] * 16),
    item("hours", hours=item_pb2.WeeklyHours(time_zone="Europe/Oslo")),
    item("posting", posting=77, created_at=stamp(5), updated_at=stamp(2**62)),
]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda made: made.item_id[:9])
async def test_a_strange_item_that_keeps_the_rules_comes_back_as_it_was(
    gateway: Gateway, tenant: Tenant, strange: item_pb2.Item
) -> None:
    answer = await gateway.call(tenant, upsert(strange))
    assert told(answer.results[0]) == (0, "UNSPECIFIED"), answer.results[0].outcome.message
    got = await gateway.call(tenant, catalog_pb2.GetItemRequest(item_id=strange.item_id))
    for field in ("item_id", "title", "owner", "category", "url", "image_url", "reach_m", "attributes"):
        assert getattr(got.item, field) == getattr(strange, field)
    assert [tag.name for tag in got.item.tags] == [tag.name for tag in strange.tags]
    assert got.item.starts_at.seconds == strange.starts_at.seconds
    assert got.item.posting not in {0, 77}
    assert got.item.created_at.seconds > 1_700_000_000


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (1000, 120), (10**9, 120)])
async def test_a_page_is_as_large_as_asked_up_to_its_limit(
    gateway: Gateway, asked: int, given: int, shelf: Tenant
) -> None:
    page = await gateway.call(shelf, catalog_pb2.ListItemsRequest(page_size=asked))
    assert len(page.items) == given
    assert bool(page.next_page_token) is (given < 120)


@pytest.fixture(scope="module")
async def shelf(gateway: Gateway) -> Tenant:
    """A tenant with 120 items."""
    made = await gateway.new_tenant("shelf")
    await gateway.call(made, upsert(*(item(f"item-{number:03}") for number in range(120))))
    return made


async def test_pages_of_a_list_hold_every_item_once_and_belong_to_their_tenant_and_query(
    gateway: Gateway, tenant: Tenant, shelf: Tenant
) -> None:
    listed, token = [], ""
    for _ in range(6):
        page = await gateway.call(shelf, catalog_pb2.ListItemsRequest(page_size=25, page_token=token))
        listed += [found.item_id for found in page.items]
        last, token = token, page.next_page_token
        if not token:
            break
    assert listed == [f"item-{number:03}" for number in range(120)]
    for replay in range(20):
        again = await gateway.call(shelf, catalog_pb2.ListItemsRequest(page_size=25, page_token=last))
        assert len(again.items) == 20, replay
    stolen: list[tuple[Tenant, Message]] = [
        (tenant, catalog_pb2.ListItemsRequest(page_token=last)),
        (shelf, catalog_pb2.ListItemsRequest(page_token=last, show_expired=True)),
        (shelf, catalog_pb2.ListItemsRequest(page_token=last[:-1])),
        (shelf, catalog_pb2.ListItemsRequest(page_token=last[::-1])),
    ]
    for caller, request in stolen:
        refusal = await refusal_of(gateway.call(caller, request))
        assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_a_page_of_large_items_ends_before_a_client_would_refuse_it(gateway: Gateway) -> None:
    """Clients take 4 MiB unless told otherwise."""
    heavy = await gateway.new_tenant("heavy")
    load = {str(number): "x" * 1000 for number in range(15)}
    ids = [f"item-{number:03}" for number in range(280)]
    for start in range(0, len(ids), 56):
        await gateway.call(heavy, upsert(*(item(each, attributes=load) for each in ids[start : start + 56])))
    first = await gateway.call(heavy, catalog_pb2.ListItemsRequest(page_size=1000))
    assert first.ByteSize() < 4 << 20
    assert 0 < len(first.items) < len(ids)
    rest = await gateway.call(
        heavy, catalog_pb2.ListItemsRequest(page_size=1000, page_token=first.next_page_token)
    )
    assert [found.item_id for found in (*first.items, *rest.items)] == ids
    assert rest.next_page_token == ""
