"""RecordEvents with events that are none among good ones: each is judged by itself."""

import math
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec.structs import replace

from nearcast.v1 import event_pb2, outcome_pb2, person_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.keyring import Keyring
from nearcast_ledger.requestid import RequestIds
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Gateway, Tenant
from tests.integration.hostile.rows import Row, assert_unharmed, check_refused, params

DAY_S = 86_400.0
DROP, RETRY = outcome_pb2.ADVICE_DROP, outcome_pb2.ADVICE_RETRY
CHARSET = "may only have characters of [A-Za-z0-9._~-]"
# Where the characters of each claim lie in a token's text.
TOKEN_PARTS = {
    "key id": 0,
    "version": 2,
    "tenant": 6,
    "request": 12,
    "posting": 36,
    "position": 40,
    "feed": 43,
    "propensity": 48,
    "revision": 62,
    "epoch": 72,
    "subject": 84,
    "session": 94,
    "tag": 120,
}


def uuid7(at_s: float | None = None) -> str:
    """A fresh UUIDv7 of that time, now if none is given."""
    at_ms = int((time.time() if at_s is None else at_s) * 1000)
    return str(RequestIds(lambda: at_ms, secrets.token_bytes).next())


def event(kind: str = "view", **fields: Any) -> event_pb2.Event:
    """An event without a token, good unless told otherwise."""
    fields = {"event_id": uuid7(), **fields}
    return event_pb2.Event(kind=kind, **{name: value for name, value in fields.items() if value is not None})


def request(*events: event_pb2.Event) -> event_pb2.RecordEventsRequest:
    return event_pb2.RecordEventsRequest(events=events)


def reason_of(result: event_pb2.EventResult) -> str:
    return ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")


@pytest.fixture(scope="module")
async def keyring(gateway: Gateway, tenant: Tenant) -> Keyring:
    """The tenant's signing keys: to make tokens as the gateway does."""
    return await PostgresPolicyStore(gateway.pool, time.time).keyring(tenant.tenant_id)


@pytest.fixture
def make_token(keyring: Keyring, tenant: Tenant) -> Callable[..., str]:
    def make(*, age_s: float = 60.0, **claims: Any) -> str:
        shown = Claims(
            tenant_id=tenant.tenant_id,
            request_id=UUID(uuid7(time.time() - age_s)),
            posting=1,
            position=1,
            feed=2,
            feed_propensity=0.5,
            scenario=1,
            market=0,
            policy_revision=1,
            policy_epoch=0,
            explore=False,
            subject_hash=UNKNOWN_HASH,
            session_hash=UNKNOWN_HASH,
        )
        return RewardTokens(keyring).sign(replace(shown, **claims))

    return make


def whole_calls() -> Iterator[Row]:
    yield Row("none", request(), "EMPTY_BATCH", "events", "at least one entry")
    yield Row(
        "501",
        request(*[event_pb2.Event()] * 501),
        "BATCH_TOO_LARGE",
        "events",
        "at most 500 entries, got 501",
    )
    many = request(*[event_pb2.Event()] * 500_000)
    yield Row("half a million", many, "BATCH_TOO_LARGE", "events", "send several calls")


@params(whole_calls())
async def test_a_call_that_is_none_is_refused_as_a_whole(gateway: Gateway, tenant: Tenant, row: Row) -> None:
    await check_refused(gateway, tenant, row)


def stamp(seconds: float, nanos: int = 0) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=nanos)


def nested(depth: int) -> Struct:
    struct = Struct()
    inner = struct
    for _ in range(depth - 1):
        inner.update({"deeper": {}})
        inner = inner.fields["deeper"].struct_value
    return struct


def struct(content: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(content)
    return made


Case = tuple[str, event_pb2.Event, str, str, int, str]


def ids() -> Iterator[Case]:
    for name, value in {
        "words": "my-event",
        "nil": str(UUID(int=0)),
        "version 4": str(uuid4()),
        "braces": f"{{{uuid7()}}}",
        "without dashes": uuid7().replace("-", ""),
        "urn": f"urn:uuid:{uuid7()}",
        "long": "a" * 10_000,
        "spaces": f" {uuid7()[1:]}",
    }.items():
        yield (
            f"event id {name}",
            event(event_id=value),
            "EVENT_ID_FORMAT",
            "event_id",
            DROP,
            "must be a UUIDv7",
        )
    yield "no event id", event(event_id=""), "EVENT_ID_REQUIRED", "event_id", DROP, "is required"
    for field in ("user_id", "anonymous_id"):
        for name, value in {"NUL": "a\0", "CRLF": "a\r\n", "emoji": "🙂", "braces": "{x}"}.items():
            person = person_pb2.Person(**{field: value})
            yield f"{field} {name}", event(person=person), "ID_CHARSET", f"person.{field}", DROP, CHARSET
        for name, value in {"empty": "", "long": "x" * 257}.items():
            person = person_pb2.Person(**{field: value})
            yield f"{field} {name}", event(person=person), "ID_LENGTH", f"person.{field}", DROP, "1 to 128"
    yield "item id", event(item_id="a b"), "ID_CHARSET", "item_id", DROP, CHARSET
    yield "item id long", event(item_id="a" * 129), "ID_LENGTH", "item_id", DROP, "1 to 128"
    yield "session id", event(session_id="\u202e"), "ID_CHARSET", "session_id", DROP, CHARSET


def values() -> Iterator[Case]:
    yield "no kind", event(""), "REQUIRED_FIELD", "kind", DROP, "is required, such as"
    for kind in ("wink", "VIEW", "view ", "99", "\0", "x" * 10_000):
        yield f"kind {kind[:5]!r}", event(kind), "KIND_UNKNOWN", "kind", RETRY, "must be one of impression"
    years = "must lie within the years 1 to 9999"
    for name, at in {
        "2^62": stamp(2**62),
        "-2^63": stamp(-(2**63)),
        "year 0": stamp(-62_135_596_801),
        "year 10000": stamp(253_402_300_800),
        "nanos 10^9": stamp(time.time(), 10**9),
        "nanos -1": stamp(time.time(), -1),
    }.items():
        yield f"occurred {name}", event(occurred_at=at), "TIMESTAMP_RANGE", "occurred_at", DROP, years
    for name, at in {"year 1": stamp(-62_135_596_800), "1970": stamp(0)}.items():
        yield f"occurred {name}", event(occurred_at=at), "EVENT_TOO_OLD", "occurred_at", DROP, "7 days"
    ahead = event(occurred_at=stamp(253_402_300_799))
    yield "occurred 9999", ahead, "EVENT_IN_FUTURE", "occurred_at", RETRY, "5 minutes ahead"
    for value in (math.nan, math.inf, -math.inf, -1.0, -5e-324, 1e9 + 1, 1e308):
        yield f"value {value}", event(value=value), "VALUE_OUT_OF_RANGE", "value", DROP, "from 0 to 1e+09"


def properties() -> Iterator[Case]:
    for name, content, rule in (
        ("65 keys", struct({str(number): 1 for number in range(65)}), "at most 64 entries, got 65"),
        ("800 keys", struct({str(number): 1 for number in range(800)}), "at most 64 entries, got 800"),
        ("an empty key", struct({"": 1}), "keys of 1 to 64 characters"),
        ("a long key", struct({"k" * 1024: 1}), "keys of 1 to 64 characters"),
        ("a NUL key", struct({"a\0": 1}), "without NUL"),
        ("a NUL value", struct({"a": ["b\0"]}), "without NUL"),
        ("a large value", struct({"a": "x" * 9000}), "at most 8192 bytes as JSON, got 9008"),
        ("5 deep", nested(5), "nested at most 4 deep"),
        ("20 deep", nested(20), "nested at most 4 deep"),
        ("lists 5 deep", struct({"a": [[[[1]]]]}), "nested at most 4 deep"),
        ("NaN", struct({"a": math.nan}), "finite numbers"),
        ("infinity", struct({"a": {"b": [math.inf]}}), "finite numbers"),
    ):
        yield name, event(properties=content), "PROPERTIES_LIMIT", "properties", DROP, rule
    huge = event(properties=struct({"a": "x" * 65_536}))
    yield "64 KB", huge, "EVENT_TOO_LARGE", "", DROP, "at most 16384 are taken"
    yield "long token", event(reward_token="A" * 17_000), "EVENT_TOO_LARGE", "", DROP, "at most 16384"


@pytest.mark.parametrize("case", [pytest.param(c, id=c[0]) for c in (*ids(), *values(), *properties())])
async def test_a_bad_event_is_refused_alone(gateway: Gateway, tenant: Tenant, case: Case) -> None:
    _, bad, reason, field, advice, rule = case
    before = await gateway.state(tenant)
    answer = await gateway.call(tenant, request(event(), bad, event()), role="client")
    good_before, result, good_after = answer.results
    assert (result.outcome.code, reason_of(result), result.outcome.field) == (3, reason, field)
    assert (result.outcome.advice, result.learned) == (advice, False)
    assert rule in result.outcome.message
    assert result.outcome.message.isprintable()
    for good in (good_before, good_after):
        assert (good.outcome.code, reason_of(good), good.learned) == (0, "TOKEN_MISSING", False)
    assert answer.durability == event_pb2.DURABILITY_EVERYSEC
    await assert_unharmed(gateway, tenant, (*before[:-1], before[-1] + 1))


@pytest.mark.parametrize(
    ("offset_s", "reason", "advice"),
    [
        (730 * DAY_S, "EVENT_IN_FUTURE", RETRY),
        (360.0, "EVENT_IN_FUTURE", RETRY),
        (-8 * DAY_S, "EVENT_TOO_OLD", DROP),
    ],
    ids=["two years ahead", "six minutes ahead", "eight days old"],
)
async def test_an_event_of_another_time_is_refused_alone(
    gateway: Gateway, tenant: Tenant, offset_s: float, reason: str, advice: int
) -> None:
    at_s = time.time() + offset_s
    late = [event(event_id=uuid7(at_s)), event(occurred_at=stamp(at_s))]
    answer = await gateway.call(tenant, request(event(), *late), role="client")
    assert answer.results[0].outcome.code == 0
    for result, field in zip(answer.results[1:], ("event_id", "occurred_at"), strict=True):
        assert (result.outcome.code, reason_of(result), result.outcome.field) == (3, reason, field)
        assert result.outcome.advice == advice
        assert "lies more than" in result.outcome.message


async def test_a_call_of_bad_events_only_appends_nothing(gateway: Gateway, tenant: Tenant) -> None:
    before = await gateway.state(tenant)
    bad = [
        event(kind, event_id="x", item_id="🙂" * 40) for kind in ("", "view", "wink", "x" * 99, "\0")
    ] * 100
    raw = await gateway.call(tenant, request(*bad), role="client")
    assert len(raw.results) == 500
    assert {result.outcome.code for result in raw.results} == {3}
    assert raw.durability == event_pb2.DURABILITY_UNSPECIFIED
    assert raw.ByteSize() <= 65_536
    assert all(result.outcome.reason for result in raw.results)
    assert all(result.outcome.message for result in raw.results[:100])
    await assert_unharmed(gateway, tenant, before)


async def results_of(
    gateway: Gateway, tenant: Tenant, *events: event_pb2.Event
) -> list[tuple[int, str, bool]]:
    answer = await gateway.call(tenant, request(*events), role="client")
    return [(result.outcome.code, reason_of(result), result.learned) for result in answer.results]


LEARNED = (0, "UNSPECIFIED", True)


async def test_an_event_that_stands_twice_is_taken_once(
    gateway: Gateway, tenant: Tenant, make_token: Callable[..., str]
) -> None:
    token, same = make_token(), event()
    by_token = [event("save", reward_token=token) for _ in range(3)]
    assert await results_of(gateway, tenant, *by_token, same, same) == [
        LEARNED,
        (0, "DUPLICATE_IN_BATCH", True),
        (0, "DUPLICATE_IN_BATCH", True),
        (0, "TOKEN_MISSING", False),
        (0, "DUPLICATE_IN_BATCH", False),
    ]


async def test_an_uppercase_event_id_is_the_same_id(gateway: Gateway, tenant: Tenant) -> None:
    event_id = uuid7()
    found = await results_of(gateway, tenant, event(event_id=event_id), event(event_id=event_id.upper()))
    assert found == [(0, "TOKEN_MISSING", False), (0, "DUPLICATE_IN_BATCH", False)]


async def test_acts_need_no_impression_first(
    gateway: Gateway, tenant: Tenant, make_token: Callable[..., str]
) -> None:
    acts = [event(kind, reward_token=make_token(), event_id=None) for kind in ("view", "save", "apply")]
    assert await results_of(gateway, tenant, *acts) == [LEARNED] * 3


@pytest.mark.parametrize("part", TOKEN_PARTS)
async def test_a_token_changed_in_one_character_is_stored_and_not_learned_from(
    gateway: Gateway, tenant: Tenant, make_token: Callable[..., str], part: str
) -> None:
    token, place = make_token(), TOKEN_PARTS[part]
    changed = token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
    found = await results_of(
        gateway,
        tenant,
        event("apply", reward_token=changed),
        event("apply", reward_token=changed, event_id=None),
        event("apply", reward_token=token),
    )
    assert found == [(0, "TOKEN_INVALID", False), (3, "TOKEN_INVALID", False), LEARNED]


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: token[:-1],
        lambda token: token[1:],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token.swapcase(),
        lambda token: f" {token}",
        lambda token: token[:64],
        lambda token: "\0" * 128,
        lambda token: "é" * 128,
        lambda token: "'; drop table events; --",
        lambda token: "A" * 16_000,
    ],
    ids=["cut", "beheaded", "longer", "padded", "case", "space", "half", "NUL", "accents", "sql", "huge"],
)
async def test_what_is_no_token_is_stored_and_not_learned_from(
    gateway: Gateway, tenant: Tenant, make_token: Callable[..., str], damage: Callable[[str], str]
) -> None:
    found = await results_of(gateway, tenant, event("apply", reward_token=damage(make_token())))
    assert found == [(0, "TOKEN_INVALID", False)]


async def test_a_token_of_another_tenant_or_key_is_none(
    gateway: Gateway, tenant: Tenant, make_token: Callable[..., str]
) -> None:
    other = await gateway.new_tenant("another-town")
    theirs = await PostgresPolicyStore(gateway.pool, time.time).keyring(other.tenant_id)
    claims = RewardTokens(theirs).verify(RewardTokens(theirs).sign(_claims(other.tenant_id)), other.tenant_id)
    stolen = RewardTokens(theirs).sign(claims)
    forged = RewardTokens(theirs).sign(replace(claims, tenant_id=tenant.tenant_id))
    renamed = make_token(tenant_id=other.tenant_id)
    found = await results_of(gateway, tenant, *(event(reward_token=t) for t in (stolen, forged, renamed)))
    assert found == [(0, "TOKEN_INVALID", False)] * 3
    assert await results_of(gateway, other, event(reward_token=stolen)) == [LEARNED]


def _claims(tenant_id: int) -> Claims:
    return Claims(
        tenant_id,
        UUID(uuid7()),
        1,
        1,
        2,
        0.5,
        1,
        0,
        1,
        0,
        explore=False,
        subject_hash=bytes(8),
        session_hash=bytes(8),
    )


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0.0, LEARNED),
        (7 * DAY_S - 60, LEARNED),
        (7 * DAY_S + 60, (3, "EVENT_TOO_OLD", False)),
        (-600.0, (3, "EVENT_IN_FUTURE", False)),
    ],
)
async def test_a_token_counts_by_the_time_inside_it(
    gateway: Gateway,
    tenant: Tenant,
    make_token: Callable[..., str],
    age_s: float,
    expected: tuple[int, str, bool],
) -> None:
    told = event(reward_token=make_token(age_s=age_s), occurred_at=stamp(0))
    assert await results_of(gateway, tenant, told) == [expected]


async def test_a_token_is_for_the_person_it_was_made_for(
    gateway: Gateway, tenant: Tenant, keyring: Keyring, make_token: Callable[..., str]
) -> None:
    ann = subject_hash(keyring.signing_key.secret, "ann", "")
    token = make_token(subject_hash=ann)
    people = [
        person_pb2.Person(user_id="bob"),
        person_pb2.Person(anonymous_id="ann"),
        person_pb2.Person(user_id="ann"),
    ]
    found = await results_of(gateway, tenant, *(event(reward_token=token, person=p) for p in people))
    assert found == [(0, "TOKEN_SUBJECT", False), (0, "TOKEN_SUBJECT", False), LEARNED]
    no_id = event(reward_token=token, person=people[0], event_id=None)
    assert await results_of(gateway, tenant, no_id) == [(3, "TOKEN_SUBJECT", False)]


@pytest.mark.parametrize(
    "good",
    [
        event(properties=struct({"zalgo": "h\u0335e", "rtl": "\u202e", "emoji": "🙂", "none": "\uffff"})),
        event(properties=struct({"int64": 2**53 + 1, "min": -(2**63), "tiny": 5e-324, "big": 1e308})),
        event(properties=struct({str(number): None for number in range(64)})),
        event(properties=nested(4)),
        event(item_id="unknown-item"),
        event(value=0.0),
        event(value=1e9),
        event("impression", session_id="a" * 128, person=person_pb2.Person(anonymous_id="~")),
        event(occurred_at=stamp(time.time() + 200)),
        event(reward_token="", item_id=".."),
    ],
    ids=lambda good: good.ByteSize(),
)
async def test_a_strange_event_that_keeps_the_rules_is_taken(
    gateway: Gateway, tenant: Tenant, good: event_pb2.Event
) -> None:
    fresh = event_pb2.Event()
    fresh.CopyFrom(good)
    fresh.event_id = uuid7()
    assert await results_of(gateway, tenant, fresh) == [(0, "TOKEN_MISSING", False)]


async def test_of_a_map_key_that_comes_twice_the_last_counts(gateway: Gateway, tenant: Tenant) -> None:
    """As protobuf has it: the bytes hold the same key with two values."""
    raw = event().SerializeToString()
    for value in ("first", "last"):
        raw += event_pb2.Event(properties=struct({"key": value})).SerializeToString()
    twice = event_pb2.Event.FromString(raw)
    assert dict(twice.properties) == {"key": "last"}
    assert await results_of(gateway, tenant, twice) == [(0, "TOKEN_MISSING", False)]
