"""One report of a slate is the reports of its items."""

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from nearcast_config.policy import Attribution
from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.identity import identity_of
from nearcast_ledger.person import Person
from nearcast_ledger.seen import bitmap_of
from nearcast_server.recommending import Slate
from nearcast_store.intake.batching import MOST_CALL_EVENTS, MOST_ENTRY_EVENTS
from nearcast_store.intake.judging import Judged, Report
from nearcast_store.intake.seeing import MOST_DWELL_MS
from tests.unit.server.scene import TENANT, make_area, make_policy, make_query, make_served
from tests.unit.server.test_recording import HOUR_S, Desk, flipped, make_report, told


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def shown(desk: Desk, person: Person | None = None, limit: int = 5) -> Slate:
    return await desk.scene.ask(make_query(make_area(limit=limit), person=person or Person()))


def seen(slate: Slate, places: Iterable[int], **other: Any) -> Report:
    return make_report("impression", slate_token=slate.token, seen=bitmap_of(places), **other)


def stored(events: Iterable[AcceptedEvent]) -> list[AcceptedEvent]:
    return sorted(events, key=lambda event: identity_of(TENANT, event))


async def test_a_slate_makes_the_very_events_that_its_items_tokens_make(desk: Desk) -> None:
    slate = await shown(desk)
    other = Desk()
    other.scene.now = desk.scene.now
    assert told(await desk.record(seen(slate, (0, 2, 4), session_id="s1"))) == [("OK", "", True, True)]
    await other.record(
        *(make_report("impression", slate.items[place].token, session_id="s1") for place in (0, 2, 4))
    )
    assert stored(await desk.appended()) == stored(await other.appended())


async def test_each_item_has_the_time_it_was_on_screen(desk: Desk) -> None:
    slate = await shown(desk)
    await desk.record(
        seen(slate, (1, 3), dwell_ms=(1200, 0)),
        make_report("impression", slate.items[0].token, dwell_ms=(7,)),
    )
    at = {event.claims.position: event.dwell_ms for event in await desk.appended() if event.claims}
    assert at == {2: 1200, 4: 0, 1: 7}


async def test_a_mixture_within_one_call_is_appended_once(desk: Desk) -> None:
    slate = await shown(desk)
    judged = await desk.record(
        make_report("impression", slate.items[1].token),
        seen(slate, (0, 1, 2)),
        seen(slate, (0, 1)),
        make_report("impression", slate.items[2].token),
    )
    assert [(one.outcome.reason, one.learned, len(one.events)) for one in judged] == [
        ("", True, 1),
        ("", True, 2),
        ("DUPLICATE_IN_BATCH", True, 0),
        ("DUPLICATE_IN_BATCH", True, 0),
    ]
    identities = [identity_of(TENANT, event) for event in await desk.appended()]
    assert len(identities) == len(set(identities)) == 3


@pytest.mark.parametrize(
    ("bitmap", "rule"),
    [
        (b"", "must have a bit set"),
        (b"\0\0", "must have a bit set"),
        (b"\x20", "which has 5, got 5"),
        (b"\x01" * 3, "which has 5, got 16"),
        (b"\x01" * 26, "at most 25 bytes, got 26"),
    ],
)
async def test_a_bitmap_that_names_no_item_of_the_slate_is_refused(
    desk: Desk, bitmap: bytes, rule: str
) -> None:
    slate = await shown(desk)
    (one,) = await desk.record(make_report("impression", slate_token=slate.token, seen=bitmap))
    assert (one.outcome.reason, one.outcome.field) == ("SEEN_INVALID", "seen")
    assert rule in one.outcome.message
    assert await desk.appended() == []


@pytest.mark.parametrize(
    ("dwell_ms", "field"),
    [
        ((1,), "dwell_ms"),
        ((1, 2, 3), "dwell_ms"),
        ((1, MOST_DWELL_MS + 1), "dwell_ms[1]"),
        ((2**32 - 1, 0), "dwell_ms[0]"),
    ],
)
async def test_times_are_for_the_items_seen_and_no_longer_than_a_day(
    desk: Desk, dwell_ms: tuple[int, ...], field: str
) -> None:
    slate = await shown(desk)
    (one,) = await desk.record(seen(slate, (0, 1), dwell_ms=dwell_ms))
    assert (one.outcome.reason, one.outcome.field) == ("DWELL_INVALID", field)


async def test_a_single_item_has_at_most_one_time_and_no_bitmap(desk: Desk) -> None:
    token = (await shown(desk)).items[0].token
    judged = await desk.record(
        make_report("view", token, dwell_ms=(1, 2)), make_report("impression", token, seen=b"\1")
    )
    assert [one.outcome.reason for one in judged] == ["DWELL_INVALID", "SEEN_INVALID"]


@pytest.mark.parametrize(
    ("kind", "field", "other"),
    [
        ("view", "kind", {}),
        ("impression", "reward_token", {"token": "x"}),
        ("impression", "item_id", {"item_id": "x"}),
        ("impression", "value", {"value": 0.0}),
        ("impression", "properties", {"properties": b"{}"}),
    ],
)
async def test_what_a_slate_cannot_have_is_refused(
    desk: Desk, kind: str, field: str, other: dict[str, object]
) -> None:
    slate = await shown(desk)
    report = make_report(kind, slate_token=slate.token, seen=b"\1", **other)  # type: ignore[arg-type]
    (one,) = await desk.record(report)
    assert (one.outcome.reason, one.outcome.field) == ("SLATE_FIELDS", field)


async def test_a_garbled_slate_is_stored_under_its_event_id_or_refused(desk: Desk) -> None:
    slate = await shown(desk)
    for damaged in (slate.token[:-1], slate.token + "A", flipped(slate.token, 40), "x", slate.items[0].token):
        report = make_report("impression", event_id=desk.uuid(), slate_token=damaged, seen=b"\3")
        assert told(await desk.record(report)) == [("OK", "TOKEN_INVALID", False, True)]
        alone = make_report("impression", slate_token=damaged, seen=b"\3")
        assert told(await desk.record(alone)) == [("INVALID_ARGUMENT", "TOKEN_INVALID", False, False)]
    assert all(event.claims is None for event in await desk.appended())


async def test_another_tenants_slate_is_no_slate(desk: Desk) -> None:
    slate = await shown(desk)
    rewards = desk.scene.view.tokens.rewards
    claims = rewards.verify_slate(slate.token, TENANT)
    token = rewards.sign_slate(replace(claims[0], tenant_id=2), [one.posting for one in claims])
    report = make_report("impression", slate_token=token, seen=b"\1")
    assert told(await desk.record(report)) == [("INVALID_ARGUMENT", "TOKEN_INVALID", False, False)]


async def test_another_persons_slate_proves_nothing(desk: Desk) -> None:
    slate = await shown(desk, Person(user_id="u1"))
    other = seen(slate, (0, 1), person=Person(user_id="u2"), event_id=desk.uuid())
    assert told(await desk.record(other)) == [("OK", "TOKEN_SUBJECT", False, True)]
    assert [event.claims for event in await desk.appended()] == [None]
    for person in (Person(), Person(user_id="u1")):
        assert told(await desk.record(seen(slate, (0, 1), person=person))) == [("OK", "", True, True)]


async def test_a_late_slate_is_stored_and_an_ancient_one_refused() -> None:
    desk = Desk(make_policy(attribution=Attribution(window_hours=2.0)))
    slate = await shown(desk)
    desk.scene.now += 3 * HOUR_S
    assert told(await desk.record(seen(slate, (0, 4)))) == [("OK", "TOKEN_EXPIRED", False, True)]
    events = await desk.appended()
    assert [event.unlearned for event in events] == [Unlearned.TOKEN_EXPIRED] * 2
    desk.scene.now += 24 * 7 * HOUR_S
    assert told(await desk.record(seen(slate, (0,)))) == [("INVALID_ARGUMENT", "EVENT_TOO_OLD", False, False)]


async def test_many_slates_are_appended_in_entries_of_bounded_size(desk: Desk) -> None:
    slates = [await shown(desk) for _ in range(300)]
    judged = await desk.record(*(seen(slate, range(5)) for slate in slates))
    assert all(one.learned for one in judged)
    records = await desk.log.read([TENANT], 100, 0)
    sizes = [len(record.entry.events) for record in records if record.entry]
    assert sum(sizes) == 1500
    assert max(sizes) <= MOST_ENTRY_EVENTS


async def test_more_impressions_than_a_call_may_make_are_refused_one_slate_at_a_time() -> None:
    desk = Desk()
    desk.scene.put(*(make_served(posting) for posting in range(100, 300)))
    slates = [await shown(desk, limit=100) for _ in range(MOST_CALL_EVENTS // 100 + 1)]
    judged: list[Judged] = await desk.record(*(seen(slate, range(100)) for slate in slates))
    assert {one.outcome.code for one in judged[:-1]} == {"OK"}
    last = judged[-1].outcome
    assert (last.reason, last.advice, last.field) == ("BATCH_TOO_LARGE", "RETRY", "seen")
    assert told(await desk.record(seen(slates[-1], range(100)))) == [("OK", "", True, True)]
