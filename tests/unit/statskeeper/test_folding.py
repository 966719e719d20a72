"""What one batch of log entries becomes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from nearcast_ledger.event import AcceptedEvent, Entry, Unlearned
from nearcast_ledger.identity import Identity
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_statskeeper.folding import MOST_DELIVERIES, events_in, plan
from nearcast_store.counting.protocol import Batch, ShardProgress
from nearcast_store.log.codec import decode_entry
from nearcast_store.log.protocol import Record
from tests.unit.statskeeper.entries import (
    NOW_S,
    TENANT,
    application,
    claims,
    entry,
    every_kind_rewards,
    garbage,
    impression,
    learned,
    raw_record,
    record,
    unattributed,
    uuid7,
    view,
)


def batch_of(*records: Record) -> Batch:
    return plan(records, every_kind_rewards).batch


def rows_in(*records: Record) -> list[tuple[int, bool]]:
    """Kind and whether implied of each row."""
    return [(row.event.kind, row.implied) for row in batch_of(*records).rows]


def test_an_event_becomes_a_row_under_its_identity() -> None:
    (row,) = batch_of(record(impression())).rows
    day = datetime.fromtimestamp(NOW_S - 60, UTC).date()
    assert row.identity == Identity(TENANT, day, uuid7(1), 10, IMPRESSION)
    assert (row.gateway_id, row.received_at_us, row.implied) == ("gateway-1", int(NOW_S * 1e6), False)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_reports_the_longest_dwell_stands_and_each_row_has_an_origin(order: int) -> None:
    late = replace(impression(), unlearned=Unlearned.TOKEN_EXPIRED, dwell_ms=900)
    reports = [late, replace(impression(), dwell_ms=30), impression(), view()][::order]
    planned = plan([record(*reports)], every_kind_rewards)
    (seen,) = (row for row in planned.batch.rows if row.event.kind == IMPRESSION)
    assert (seen.event.dwell_ms, seen.event.unlearned, seen.implied) == (900, Unlearned.LEARNED, False)
    assert set(planned.origins()) == {row.identity for row in planned.batch.rows}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([record(impression(), impression())], [(IMPRESSION, False)], id="repeat in one entry"),
        pytest.param(
            [record(view(), place=1), record(view(), place=2)],
            [(IMPRESSION, True), (VIEW, False)],
            id="repeat in two entries",
        ),
        pytest.param(
            [record(view(), impression())],
            [(IMPRESSION, False), (VIEW, False)],
            id="the real impression replaces the implied one",
        ),
        pytest.param(
            [record(impression(), view())],
            [(IMPRESSION, False), (VIEW, False)],
            id="the implied one does not replace the real one",
        ),
        pytest.param(
            [record(view(), application())],
            [(IMPRESSION, True), (VIEW, False), (APPLY, False)],
            id="two acts imply one impression",
        ),
        pytest.param(
            [record(view(posting=10), view(posting=11))],
            [(IMPRESSION, True), (VIEW, False), (IMPRESSION, True), (VIEW, False)],
            id="each shown item has its own",
        ),
        pytest.param([record(unattributed())], [(VIEW, False)], id="without a token nothing is implied"),
        pytest.param(
            [record(learned(VIEW, unlearned=Unlearned.TOKEN_EXPIRED))],
            [(VIEW, False)],
            id="what is not learned from implies nothing",
        ),
        pytest.param([record()], [], id="an entry without events"),
        pytest.param([], [], id="no entry"),
    ],
)
def test_each_identity_is_one_row(records: list[Record], expected: list[tuple[int, bool]]) -> None:
    assert rows_in(*records) == expected


@pytest.mark.parametrize("learned_first", [True, False])
def test_a_repeat_that_is_not_learned_from_takes_no_count_away(learned_first: bool) -> None:
    late = learned(VIEW, unlearned=Unlearned.TOKEN_EXPIRED)
    events = [view(), late] if learned_first else [late, view()]
    rows = batch_of(record(*events)).rows
    assert [row.event.unlearned for row in rows if row.event.kind == VIEW] == [Unlearned.LEARNED]


def test_rows_are_sorted_so_that_two_keepers_do_not_deadlock() -> None:
    rows = batch_of(
        record(*(view(request, posting) for request in (3, 1, 2) for posting in (12, 10, 11)))
    ).rows
    assert [row.identity for row in rows] == sorted(row.identity for row in rows)


@pytest.mark.parametrize(
    ("event", "rewards"),
    [
        pytest.param(view(), True, id="a learned act"),
        pytest.param(impression(), False, id="an impression"),
        pytest.param(learned(SAVE), False, id="a kind that the policy does not count"),
        pytest.param(learned(VIEW, unlearned=Unlearned.TOKEN_EXPIRED), False, id="too late"),
        pytest.param(unattributed(), False, id="no token"),
    ],
)
def test_only_learned_acts_of_rewarding_kinds_reward_the_feed(event: AcceptedEvent, rewards: bool) -> None:
    rows = plan(
        [record(event)], lambda tenant_id, revision, kind: (tenant_id, revision, kind) != (TENANT, 1, SAVE)
    ).batch.rows
    assert [row.rewards_feed for row in rows if not row.implied] == [rewards]
    assert not any(row.rewards_feed for row in rows if row.implied)


def test_bytes_that_are_no_entry_are_kept_as_they_came() -> None:
    batch = batch_of(garbage(place=1), record(view(), place=2))
    (letter,) = batch.dead
    assert (letter.reason, letter.detail, letter.entry, letter.entry_id) == (
        "UNDECODABLE",
        "the bytes are not a log entry",
        b"\xff\xff",
        "1-0",
    )
    assert len(batch.rows) == 2


def bad_claims(**changed: Any) -> AcceptedEvent:
    return learned(VIEW, claims=claims(**changed))


@pytest.mark.parametrize(
    ("event", "reason", "named"),
    [
        (learned(VIEW, user_id="a\0b"), "TEXT_NUL", "user_id"),
        (learned(VIEW, item_id="\0"), "TEXT_NUL", "item_id"),
        (learned(VIEW, properties=b'{"a": "x\\u0000y"}'), "TEXT_NUL", "properties"),
        (learned(VIEW, properties=b"{"), "PROPERTIES_FORMAT", "properties"),
        (learned(VIEW, properties=b"[1]"), "PROPERTIES_FORMAT", "properties"),
        (learned(VIEW, properties=b'{"a": NaN}'), "PROPERTIES_FORMAT", "properties"),
        (learned(VIEW, properties=b'{"a": "\\ud800"}'), "PROPERTIES_FORMAT", "properties"),
        (learned(VIEW, properties=b'{"a":' * 5000 + b"1" + b"}" * 5000), "PROPERTIES_FORMAT", "properties"),
        (learned(0), "NUMBER_RANGE", "kind"),
        (learned(32768), "NUMBER_RANGE", "kind"),
        (learned(VIEW, value=float("nan")), "NUMBER_RANGE", "value"),
        (learned(VIEW, value=float("inf")), "NUMBER_RANGE", "value"),
        (learned(VIEW, value=-1.0), "NUMBER_RANGE", "value"),
        (bad_claims(position=40_000), "NUMBER_RANGE", "position"),
        (bad_claims(feed=40_000), "NUMBER_RANGE", "feed"),
        (bad_claims(scenario=40_000), "NUMBER_RANGE", "scenario"),
        (bad_claims(market=2**31), "NUMBER_RANGE", "market"),
        (bad_claims(posting=0), "NUMBER_RANGE", "posting"),
        (bad_claims(key_id=40_000), "NUMBER_RANGE", "key_id"),
        (bad_claims(feed_propensity=float("nan")), "NUMBER_RANGE", "feed_propensity"),
        (learned(VIEW, occurred_at_us=2**62), "TIME_RANGE", "occurred_at_us"),
        (bad_claims(request_id=UUID(int=5)), "ID_FORMAT", "request_id"),
        (replace(unattributed(), event_id=UUID(int=5)), "ID_FORMAT", "event_id"),
        (replace(unattributed(), event_id=None), "ID_FORMAT", "event_id"),
        (bad_claims(request_id=uuid7(1, NOW_S - 8 * 86400)), "TIME_RANGE", "request_id"),
        (bad_claims(request_id=uuid7(1, NOW_S + 2 * 3600)), "TIME_RANGE", "request_id"),
        (bad_claims(request_id=uuid7(1, 2.0**47 / 1000)), "TIME_RANGE", "request_id"),
    ],
)
def test_an_event_that_cannot_be_stored_dies_alone(event: AcceptedEvent, reason: str, named: str) -> None:
    batch = batch_of(record(impression(1), event, impression(2)))
    (letter,) = batch.dead
    assert (letter.reason, letter.event_index) == (reason, 1)
    assert named in letter.detail
    assert [row.identity.origin_id for row in batch.rows] == [uuid7(1), uuid7(2)]


def test_a_dead_letter_holds_an_entry_with_that_event_alone() -> None:
    (letter,) = batch_of(record(impression(), learned(VIEW, user_id="a\0b"))).dead
    kept = decode_entry(letter.entry)
    assert isinstance(kept, Entry)
    assert [event.user_id for event in kept.events] == ["a\0b"]


@pytest.mark.parametrize(
    "properties", [b"", b"{}", b'{"a": "back\\\\u0000slash"}', b'{"a": [1, 2.5, null, "\xc3\xb8"]}']
)
def test_sound_properties_are_left_alone(properties: bytes) -> None:
    assert batch_of(record(learned(VIEW, properties=properties))).dead == []


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (entry(view(), application(), tenant_id=2), "WRONG_TENANT"),
        (replace(entry(view(), application()), gateway_id="a\0"), "TEXT_NUL"),
        (replace(entry(view(), application()), received_at_us=2**62), "TIME_RANGE"),
    ],
)
def test_of_an_unsound_entry_every_event_is_dead(held: Entry, reason: str) -> None:
    batch = batch_of(raw_record(held))
    assert [(letter.event_index, letter.reason) for letter in batch.dead] == [(0, reason), (1, reason)]
    assert {letter.tenant_id for letter in batch.dead} == {TENANT}
    assert not batch.rows


def test_what_was_handed_out_too_often_is_put_aside_unread() -> None:
    sound = record(impression(1), deliveries=MOST_DELIVERIES, place=1)
    poison = record(impression(2), deliveries=MOST_DELIVERIES + 1, place=2)
    batch = batch_of(sound, poison)
    assert [(letter.entry_id, letter.reason) for letter in batch.dead] == [("2-0", "CRASH_POISON")]
    assert [row.identity.origin_id for row in batch.rows] == [uuid7(1)]


def test_progress_is_the_furthest_entry_and_all_accepted_events_of_each_shard() -> None:
    batch = batch_of(
        record(impression(1), impression(1), place=10, shard=1),
        record(impression(2), place=9, shard=1),
        record(learned(0), place=2, shard=0),
        garbage(place=3),
    )
    assert batch.progress == [ShardProgress(TENANT, 0, "3-0", 2), ShardProgress(TENANT, 1, "10-0", 3)]


def test_events_are_counted_as_they_were_accepted() -> None:
    assert events_in([record(view(), view()), garbage()]) == 3
