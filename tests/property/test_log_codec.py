"""An entry comes out of the log as it went in, and nonsense comes out as words."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast.log.v1 import entry_pb2
from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_store.log.codec import LEAST_PACKED, decode_entry, encode_entry
from nearcast_store.log.packing import PackedEvents
from tests.acceptedevents import claims, entry

TENANT = 12
number = st.integers(0, 2**32 - 1)
long = st.integers(-(2**63), 2**63 - 1)
hashes = st.binary(min_size=8, max_size=8)
text = st.text(max_size=20)
finite = st.floats(allow_nan=False)

some_claims = st.builds(
    Claims,
    tenant_id=st.just(TENANT),
    request_id=st.uuids(),
    posting=long,
    position=number,
    feed=number,
    feed_propensity=finite,
    scenario=number,
    market=number,
    policy_revision=long,
    policy_epoch=long,
    explore=st.booleans(),
    subject_hash=hashes,
    session_hash=hashes,
    key_id=number,
)
some_event = st.builds(
    AcceptedEvent,
    kind=number,
    unlearned=st.sampled_from(Unlearned),
    claims=st.none() | some_claims,
    event_id=st.none() | st.uuids(),
    item_id=text,
    user_id=text,
    anonymous_id=text,
    session_id=text,
    occurred_at_us=st.none() | long,
    value=st.none() | finite,
    properties=st.binary(max_size=30),
    dwell_ms=st.none() | st.integers(0, 2**32 - 1),
)
some_entry = st.builds(
    Entry,
    tenant_id=st.just(TENANT),
    received_at_us=long,
    gateway_id=text,
    durability=st.sampled_from(Durability),
    events=st.lists(some_event, max_size=5).map(tuple),
)


@given(some_entry)
@settings(max_examples=200, deadline=None)
def test_an_entry_comes_back_as_it_was(written: Entry) -> None:
    assert decode_entry(encode_entry(written)) == written


def test_nothing_given_differs_from_zero() -> None:
    event = AcceptedEvent(kind=1, unlearned=Unlearned.LEARNED, value=0.0, occurred_at_us=0, claims=None)
    written = Entry(TENANT, 1, "g", Durability.FSYNC, (event,))
    back = decode_entry(encode_entry(written))
    assert isinstance(back, Entry)
    assert (back.events[0].value, back.events[0].occurred_at_us) == (0.0, 0)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_nonsense_is_an_entry_or_words(raw: bytes) -> None:
    assert isinstance(decode_entry(raw), Entry | str)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_entries_are_entries_or_words(data: st.DataObject) -> None:
    raw = bytearray(encode_entry(entry(events=3)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(decode_entry(bytes(raw[: data.draw(st.integers(0, len(raw)))])), Entry | str)


def test_emptiness_is_no_entry() -> None:
    assert decode_entry(b"") == "format is 0, must be 1 or above"


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        (b"subject.", b"subject", "subject_hash has 7 bytes, must have 8"),
        (
            claims().request_id.bytes,
            b"short",
            "request_id has 5 bytes, must have 16",
        ),
    ],
)
def test_what_is_wrong_is_named(good: bytes, bad: bytes, words: str) -> None:
    wire = entry_pb2.LogEntry.FromString(encode_entry(entry()))
    broken = wire.events[0].claims
    for name in ("request_id", "subject_hash"):
        if getattr(broken, name) == good:
            setattr(broken, name, bad)
    assert decode_entry(wire.SerializeToString()) == words


packable_claims = st.builds(
    claims,
    st.just(TENANT),
    st.integers(-(2**63), 2**63 - 1),
)
packable_event = st.builds(
    AcceptedEvent,
    kind=st.integers(0, 2**16 - 1),
    unlearned=st.sampled_from(Unlearned),
    claims=st.none() | packable_claims,
    event_id=st.none() | st.uuids(),
    item_id=st.sampled_from(("", "", "x")),
    session_id=st.sampled_from(("", "s-1")),
    occurred_at_us=st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    value=st.none() | finite,
    properties=st.sampled_from((b"", b"{}")),
    dwell_ms=st.none() | st.integers(0, 2**32 - 2),
)


@given(st.lists(packable_event, min_size=LEAST_PACKED, max_size=20))
@settings(max_examples=200, deadline=None)
def test_many_events_are_packed_and_come_back_as_they_were(events: list[AcceptedEvent]) -> None:
    written = Entry(TENANT, 1, "g", Durability.FSYNC, tuple(events))
    read = decode_entry(encode_entry(written))
    assert isinstance(read, Entry)
    assert isinstance(read.events, PackedEvents)
    assert read == written
    assert (read.events[-1], read.events[1:3]) == (events[-1], tuple(events[1:3]))


@pytest.mark.parametrize(
    "odd",
    [
        AcceptedEvent(kind=2**16, unlearned=Unlearned.LEARNED),
        AcceptedEvent(kind=1, unlearned=Unlearned.LEARNED, occurred_at_us=-(2**63)),
        AcceptedEvent(kind=1, unlearned=Unlearned.LEARNED, dwell_ms=2**32 - 1),
        AcceptedEvent(1, Unlearned.LEARNED, replace(claims(TENANT), market=2**32 - 1, feed=2**16)),
    ],
)
def test_what_has_no_place_among_packed_events_is_written_one_by_one(odd: AcceptedEvent) -> None:
    written = Entry(TENANT, 1, "g", Durability.FSYNC, (*entry(TENANT, events=LEAST_PACKED).events, odd))
    read = decode_entry(encode_entry(written))
    assert read == written
    assert isinstance(read, Entry)
    assert isinstance(read.events, tuple)


def test_a_keeper_that_knows_no_packed_events_finds_no_entry() -> None:
    """It reads the format alone, and puts aside whole what has none."""
    wire = entry_pb2.LogEntry.FromString(encode_entry(entry(events=LEAST_PACKED)))
    assert (wire.format, len(wire.events), wire.packing) == (0, 0, 1)


@pytest.mark.parametrize(
    ("field", "spoiled", "words"),
    [
        ("packing", 2, "packing is 2, and this version reads 1"),
        ("decisions", b"x", "decisions have 1 bytes, must have 67 each"),
        ("decisions", b"", "an event is of a decision beyond the 0 that are there"),
        ("packed_events", b"abc", "packed_events have 3 bytes, must have 29 each"),
        (
            "packed_events",
            b"\xff\xff\1\0" + bytes(25),
            "an event has a detail beyond the 0 that are there",
        ),
        (
            "packed_events",
            b"\xff\xff" + bytes(14) + b"\x05" + bytes(12),
            "unlearned_reason is 5, which has no meaning",
        ),
    ],
)
def test_what_is_wrong_with_packed_events_is_named(field: str, spoiled: Any, words: str) -> None:
    plain = AcceptedEvent(1, Unlearned.LEARNED, claims(TENANT))
    raw = encode_entry(Entry(TENANT, 1, "g", Durability.FSYNC, (plain,) * LEAST_PACKED))
    wire = entry_pb2.LogEntry.FromString(raw)
    setattr(wire, field, spoiled)
    assert decode_entry(wire.SerializeToString()) == words


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_packed_events_with_a_byte_changed_are_an_entry_or_words(place: int, byte: int) -> None:
    raw = bytearray(encode_entry(entry(TENANT, events=LEAST_PACKED)))
    raw[place % len(raw)] = byte
    read = decode_entry(bytes(raw))
    assert isinstance(read, str) or len(list(read.events)) == len(read.events)


def test_another_tenants_claims_are_never_written() -> None:
    event = AcceptedEvent(kind=1, unlearned=Unlearned.LEARNED, claims=claims(tenant_id=2))
    with pytest.raises(ValueError, match="claims of tenant 2 in an entry of tenant 1"):
        encode_entry(Entry(1, 0, "g", Durability.MEMORY, (event,)))
