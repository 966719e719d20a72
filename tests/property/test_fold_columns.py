"""What columns make of a batch is what a look at each of its events would have made of it."""

import struct
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_ledger.horizon import FUTURE_TOLERANCE_S, HORIZON_HOURS
from nearcast_ledger.identity import identity_of, implied_impression
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW, position_bucket
from nearcast_ledger.requestid import hour_bucket
from nearcast_statskeeper.faults import fault_of_event
from nearcast_statskeeper.folding import plan
from nearcast_store.counting.columns import columns_of
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.counting.staging import packed
from nearcast_store.counting.tallying import find_trials, find_trials_in, one_of_each
from nearcast_store.log.codec import LEAST_PACKED, decode_entry, encode_entry
from nearcast_store.log.protocol import Record
from tests.unit.statskeeper.entries import NOW_S, TENANT, claims, uuid7

EPOCH_US = int(datetime.fromisoformat("2000-01-01T00:00:00+00:00").timestamp()) * 1_000_000
TEXT = st.sampled_from(("", "", "", "ann", "Ødegård", "a\0b"))

sound_claims = st.builds(
    claims,
    st.integers(1, 3),
    st.integers(10, 12),
    position=st.integers(0, 60),
    feed=st.integers(1, 2),
    market=st.integers(0, 1),
    policy_revision=st.integers(1, 2),
    policy_epoch=st.integers(0, 2),
    explore=st.booleans(),
    session_hash=st.sampled_from((b"session1", b"session2")),
)
OLDEST_S, NEWEST_S = HORIZON_HOURS * 3600 + 3600, FUTURE_TOLERANCE_S + 3600
# One thing is wrong with each.
FAULTS: dict[str, tuple[object, ...]] = {
    "posting": (0, -4),
    "position": (32_768, 65_535),
    "feed": (40_000,),
    "feed_propensity": (-0.5, 1.5, float("nan")),
    "scenario": (40_000,),
    "market": (2**31,),
    "policy_revision": (-1,),
    "policy_epoch": (-1,),
    "key_id": (40_000,),
    "request_id": (
        UUID(int=5),
        UUID(int=uuid7(1).int ^ 1 << 76),
        UUID(int=uuid7(1).int ^ 1 << 63),
        uuid7(1, NOW_S - OLDEST_S - 1),
        uuid7(1, NOW_S + NEWEST_S + 1),
    ),
}
FAULTY_CLAIMS = [replace(claims(), **{name: value}) for name, values in FAULTS.items() for value in values]
FAULTY = [AcceptedEvent(VIEW, Unlearned.LEARNED, each) for each in FAULTY_CLAIMS] + [
    replace(AcceptedEvent(VIEW, Unlearned.LEARNED, claims()), **{name: value})
    for name, value in (("occurred_at_us", 2**62), ("occurred_at_us", -(2**62)), ("dwell_ms", 2**31))
]
FAULTY += [AcceptedEvent(kind, Unlearned.LEARNED, claims()) for kind in (0, 32_768)]
BORDERLINE = [
    AcceptedEvent(VIEW, Unlearned.LEARNED, claims(request_id=uuid7(1, NOW_S + seconds)), dwell_ms=2**31 - 1)
    for seconds in (-OLDEST_S, NEWEST_S)
]
faulty_claims = st.sampled_from(FAULTY_CLAIMS)
trusts = st.sampled_from((*(Unlearned.LEARNED,) * 3, Unlearned.TOKEN_EXPIRED))
times_us = st.sampled_from((None, 0, -1, int(NOW_S * 1e6), 2**62, -(2**63) + 1))
dwells_ms = st.sampled_from((None, None, 0, 30, 900, 2**31))
kinds = st.sampled_from((IMPRESSION, IMPRESSION, VIEW, SAVE, APPLY))
plain = st.builds(AcceptedEvent, kinds, trusts, sound_claims)
timed = st.builds(AcceptedEvent, kinds, trusts, sound_claims, occurred_at_us=times_us, dwell_ms=dwells_ms)
faulty = st.sampled_from(FAULTY + BORDERLINE)
odd = st.builds(
    AcceptedEvent,
    st.sampled_from((0, IMPRESSION, VIEW, 40_000)),
    trusts,
    st.none() | sound_claims | faulty_claims,
    st.none() | st.sampled_from([uuid7(number) for number in (1, 2, 3)]),
    TEXT,
    TEXT,
    session_id=TEXT,
    occurred_at_us=times_us,
    value=st.sampled_from((None, 0.0, 2.5, float("inf"))),
    properties=st.sampled_from((b"", b'{"a": 1}', b"{")),
    dwell_ms=dwells_ms,
)
some_events = st.one_of(plain, timed, faulty, odd)
entries = st.lists(some_events, max_size=3) | st.lists(some_events, min_size=LEAST_PACKED, max_size=24)


def save_rewards_by_the_first_revision(tenant_id: int, revision: int, kind: int) -> bool:
    return kind != SAVE or revision == 1


def records_of(batches: Sequence[Sequence[AcceptedEvent]]) -> list[Record]:
    """Through their bytes, as the log has them."""
    records = []
    for place, events in enumerate(batches, 1):
        raw = encode_entry(
            Entry(TENANT, int(NOW_S * 1e6) + place, f"gateway-{place % 2}", Durability.EVERYSEC, events)
        )
        decoded = decode_entry(raw)
        assert isinstance(decoded, Entry)
        records.append(Record(TENANT, place % 3, f"{place}-0", raw, decoded))
    return records


def rows_one_by_one(records: Sequence[Record]) -> Iterator[LedgerRow]:
    """What each event becomes by itself, if it can be stored."""
    for record in records:
        entry = record.entry
        assert entry is not None
        for event in entry.events:
            if fault_of_event(event, entry.received_at_us) is None:
                yield row_of(record.shard, entry, event, implied=False)
                impression = implied_impression(event)
                if impression is not None:
                    yield row_of(record.shard, entry, impression, implied=True)


def row_of(shard: int, entry: Entry, event: AcceptedEvent, *, implied: bool) -> LedgerRow:
    rewards = (
        event.claims is not None
        and event.unlearned is Unlearned.LEARNED
        and event.kind != IMPRESSION
        and save_rewards_by_the_first_revision(TENANT, event.claims.policy_revision, event.kind)
    )
    place = (entry.received_at_us, entry.gateway_id, entry.durability)
    return LedgerRow(identity_of(TENANT, event), event, implied, *place, rewards, shard)


@pytest.mark.parametrize("event", FAULTY)
def test_what_is_faulty_is_found_among_packed_events(event: AcceptedEvent) -> None:
    sound = [AcceptedEvent(IMPRESSION, Unlearned.LEARNED, claims(number)) for number in range(LEAST_PACKED)]
    batch = plan(records_of([[*sound, event, *BORDERLINE]]), save_rewards_by_the_first_revision).batch
    assert [letter.event_index for letter in batch.dead] == [len(sound)]
    assert len(batch.rows) == len(sound) + 2 * len(BORDERLINE)


@given(st.lists(entries, max_size=4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_batch_in_columns_is_the_batch_event_by_event(batches: list[list[AcceptedEvent]]) -> None:
    records = records_of(batches)
    planned = plan(records, save_rewards_by_the_first_revision)
    expected = sorted(one_of_each(rows_one_by_one(records)), key=lambda row: row.identity)
    assert list(planned.batch.rows) == expected
    assert [(each.entry_id, each.event_index, each.reason, each.detail) for each in planned.batch.dead] == [
        (record.entry_id, index, fault.reason, fault.detail.replace("\0", "\\0"))
        for record in sorted(records, key=lambda record: (record.shard, record.entry_id))
        if record.entry is not None
        for index, event in enumerate(record.entry.events)
        if (fault := fault_of_event(event, record.entry.received_at_us)) is not None
    ]
    columns = columns_of(planned.batch.rows)
    assert find_trials_in(columns) == find_trials(expected)
    assert list(columns_of(expected).in_order()) == expected
    for row, origin in ((row, planned.origins()[row.identity]) for row in expected):
        assert origin.record.entry is not None
        reported = origin.record.entry.events[origin.event_index]
        assert identity_of(TENANT, implied_impression(reported) or reported if row.implied else reported) == (
            row.identity
        )


@given(st.lists(entries, max_size=4))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_what_is_copied_is_what_each_row_says(batches: list[list[AcceptedEvent]]) -> None:
    rows = plan(records_of(batches), save_rewards_by_the_first_revision).batch.rows
    columns, raw = packed(columns_of(rows))
    copied = [dict(zip(columns, fields, strict=True)) for fields in fields_of(raw)]
    for place, (row, fields) in enumerate(zip(rows, copied, strict=True)):
        said = said_by(place, row)
        assert fields == {name: said[name] for name in columns}
        assert all(said[name] is None for name in said.keys() - fields.keys())


def fields_of(raw: bytes) -> Iterator[list[bytes | None]]:
    """The rows of a COPY in binary."""
    assert raw.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    place = 19
    while (count := struct.unpack_from(">h", raw, place)[0]) >= 0:
        place += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            length = struct.unpack_from(">i", raw, place)[0]
            fields.append(None if length < 0 else raw[place + 4 : place + 4 + length])
            place += 4 + max(0, length)
        yield fields
    assert place + 2 == len(raw)


def said_by(place: int, row: LedgerRow) -> dict[str, bytes | None]:
    """Each column, as Postgres reads it."""
    event, claims = row.event, row.event.claims
    told: dict[str, tuple[str, Any] | None] = {
        "ordinal": ("i", place),
        "origin_id": ("16s", row.identity.origin_id.bytes),
        "tenant_id": ("i", row.identity.tenant_id),
        "identity_day": ("i", (row.identity.day - date(2000, 1, 1)).days),
        "received_at": ("q", row.received_at_us - EPOCH_US),
        "durability": ("h", row.durability),
        "posting": ("q", row.identity.posting),
        "identity_kind": ("h", row.identity.identity_kind),
        "kind": ("h", event.kind),
        "learned": ("?", not event.unlearned),
        "unlearned_reason": ("h", event.unlearned),
        "implied": ("?", row.implied),
        "rewards_feed": ("?", row.rewards_feed),
        "cascades": ("?", row.cascades),
        "occurred_at": ("q", event.occurred_at_us - EPOCH_US) if event.occurred_at_us is not None else None,
        "dwell_ms": ("i", event.dwell_ms) if event.dwell_ms is not None else None,
        "value": ("d", event.value) if event.value is not None else None,
        "position_bucket": ("h", position_bucket(claims.position)) if claims else None,
        "bucket": ("i", hour_bucket(claims.request_id)) if claims else None,
    }
    forms = {
        "feed": "h",
        "feed_propensity": "d",
        "scenario": "h",
        "market": "i",
        "policy_revision": "q",
        "policy_epoch": "q",
        "explore": "?",
        "key_id": "h",
        "position": "h",
        "subject_hash": "8s",
        "session_hash": "8s",
    }
    told |= {name: (form, getattr(claims, name)) if claims else None for name, form in forms.items()}
    texts = {
        "gateway_id": row.gateway_id.encode(),
        "event_id": event.event_id.bytes if event.event_id else b"",
        "properties": b"\x01" + event.properties if event.properties else b"",
        **{
            name: getattr(event, name).encode()
            for name in ("item_id", "user_id", "anonymous_id", "session_id")
        },
    }
    numbers = {name: struct.pack(f">{each[0]}", each[1]) if each else None for name, each in told.items()}
    return numbers | {name: text or None for name, text in texts.items()}
