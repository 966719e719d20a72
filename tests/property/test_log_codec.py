"""An entry comes out of the log as it went in, and nonsense comes out as words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_store.log.codec import decode_entry, encode_entry
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
    from nearcast.log.v1 import entry_pb2

    wire = entry_pb2.LogEntry.FromString(encode_entry(entry()))
    broken = wire.events[0].claims
    for name in ("request_id", "subject_hash"):
        if getattr(broken, name) == good:
            setattr(broken, name, bad)
    assert decode_entry(wire.SerializeToString()) == words


def test_another_tenants_claims_are_never_written() -> None:
    event = AcceptedEvent(kind=1, unlearned=Unlearned.LEARNED, claims=claims(tenant_id=2))
    with pytest.raises(ValueError, match="claims of tenant 2 in an entry of tenant 1"):
        encode_entry(Entry(1, 0, "g", Durability.MEMORY, (event,)))
