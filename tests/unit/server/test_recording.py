"""What becomes of each event of a call."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from msgspec import structs

from nearcast_catalogue.checking import Violation
from nearcast_config.policy import Attribution, Kind, Policy
from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.errors import UnavailableError
from nearcast_server.recording import Recorder
from nearcast_server.tenancy import Tokens
from nearcast_store.intake.judging import MOST_EVENT_BYTES, Judged, Report
from nearcast_store.log.memory import MemoryEventLog
from tests.unit.server.scene import (
    KEYRING,
    NOW,
    TENANT,
    Scene,
    make_policy,
    make_query,
    make_view,
    town,
)

HOUR_S = 3600.0


class Desk:
    """A town and a recorder on the same views and clock."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.scene: Scene = town(5, make_view(policy))
        self.log = MemoryEventLog(lambda: self.scene.now)
        self.recorder = Recorder(
            self.log, self.scene.tenancies, lambda: self.scene.now, "gateway-1", Durability.EVERYSEC
        )

    async def token(self, person: Person | None = None) -> str:
        slate = await self.scene.ask(make_query(person=person or Person()))
        return slate.items[0].token

    async def record(self, *reports: Report) -> list[Judged]:
        return list((await self.recorder.record(TENANT, reports)).judged)

    async def appended(self) -> list[AcceptedEvent]:
        records = await self.log.read([TENANT], 100, 0)
        return [event for record in records if record.entry for event in record.entry.events]

    def uuid(self, at_s: float | None = None) -> str:
        """A UUIDv7 of that time, now if none is given."""
        now_ms = int((self.scene.now if at_s is None else at_s) * 1000)
        return str(RequestIds(lambda: now_ms, self.scene.random.randbytes).next())


@pytest.fixture
def desk() -> Desk:
    return Desk()


def make_report(kind: str = "view", token: str = "", event_id: str = "", **other: object) -> Report:
    report = Report(
        kind=kind,
        reward_token=token,
        event_id=event_id,
        item_id="",
        person=Person(),
        session_id="",
        occurred_at_us=None,
        value=None,
        properties=b"",
        size_bytes=100,
    )
    return structs.replace(report, **other)


def told(judged: Sequence[Judged]) -> list[tuple[str, str, bool, bool]]:
    return [(one.outcome.code, one.outcome.reason, one.learned, one.event is not None) for one in judged]


def flipped(token: str, place: int) -> str:
    return token[:place] + ("B" if token[place] == "A" else "A") + token[place + 1 :]


async def test_an_event_with_its_token_is_learned_from(desk: Desk) -> None:
    token = await desk.token()
    judged = await desk.record(make_report("impression", token), make_report("apply", token))
    assert told(judged) == [("OK", "", True, True)] * 2
    events = await desk.appended()
    assert [event.kind for event in events] == [1, 4]
    assert all(event.claims and event.claims.posting and not event.unlearned for event in events)


async def test_an_apply_without_its_impression_is_learned_from(desk: Desk) -> None:
    assert told(await desk.record(make_report("apply", await desk.token()))) == [("OK", "", True, True)]


async def test_what_is_no_token_of_ours_is_stored_under_its_event_id(desk: Desk) -> None:
    token = await desk.token()
    for damaged in (token[:-1], token + "A", flipped(token, 40), "x", "\u0000", "ü" * 128):
        judged = await desk.record(make_report("view", damaged, desk.uuid()))
        assert told(judged) == [("OK", "TOKEN_INVALID", False, True)], damaged
        assert told(await desk.record(make_report("view", damaged))) == [
            ("INVALID_ARGUMENT", "TOKEN_INVALID", False, False)
        ]
    events = await desk.appended()
    assert all(event.claims is None and event.event_id for event in events)


async def test_another_tenants_token_is_no_token(desk: Desk) -> None:
    rewards = desk.scene.view.tokens.rewards
    claims = rewards.verify(await desk.token(), TENANT)
    token = rewards.sign(structs.replace(claims, tenant_id=2))
    assert told(await desk.record(make_report("view", token, desk.uuid()))) == [
        ("OK", "TOKEN_INVALID", False, True)
    ]


async def test_the_person_must_be_the_one_the_token_was_made_for(desk: Desk) -> None:
    ann, bob, guest = Person(user_id="ann"), Person(user_id="bob"), Person(anonymous_id="ann")
    token = await desk.token(ann)
    judged = await desk.record(
        make_report("view", token, desk.uuid(), person=bob),
        make_report("view", token, desk.uuid(), person=guest),
        make_report("view", token, person=ann),
        make_report("save", token, person=Person()),
    )
    assert told(judged) == [
        ("OK", "TOKEN_SUBJECT", False, True),
        ("OK", "TOKEN_SUBJECT", False, True),
        ("OK", "", True, True),
        ("OK", "", True, True),
    ]
    assert [event.claims is None for event in await desk.appended()] == [True, True, False, False]


async def test_a_token_made_for_nobody_may_be_used_by_anybody(desk: Desk) -> None:
    token = await desk.token()
    judged = await desk.record(make_report("view", token, person=Person(user_id="ann")))
    assert told(judged) == [("OK", "", True, True)]


async def test_a_token_of_the_key_before_goes_on_verifying(desk: Desk) -> None:
    token = await desk.token(Person(user_id="ann"))
    rotated = Tokens.of(Keyring((*KEYRING.keys, SigningKey(8, b"n" * 32))))
    desk.scene.show(replace(desk.scene.view, tokens=rotated))
    judged = await desk.record(make_report("view", token, person=Person(user_id="ann")))
    assert told(judged) == [("OK", "", True, True)]


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0.0, ("OK", "", True, True)),
        (2 * HOUR_S, ("OK", "", True, True)),
        (2 * HOUR_S + 1, ("OK", "TOKEN_EXPIRED", False, True)),
        (168 * HOUR_S, ("OK", "TOKEN_EXPIRED", False, True)),
        (168 * HOUR_S + 1, ("INVALID_ARGUMENT", "EVENT_TOO_OLD", False, False)),
    ],
)
async def test_a_token_is_learned_from_within_the_window_and_refused_beyond_the_horizon(
    age_s: float, expected: tuple[str, str, bool, bool]
) -> None:
    desk = Desk(make_policy(attribution=Attribution(window_hours=2.0)))
    token = await desk.token()
    desk.scene.now += age_s
    assert told(await desk.record(make_report("view", token))) == [expected]


async def test_the_senders_clock_has_no_say_over_a_token(desk: Desk) -> None:
    report = make_report("view", await desk.token(), occurred_at_us=-62_135_596_800_000_000)
    assert told(await desk.record(report)) == [("OK", "", True, True)]


@pytest.mark.parametrize(
    ("offset_s", "reason"),
    [
        (0.0, "TOKEN_MISSING"),
        (300.0, "TOKEN_MISSING"),
        (301.0, "EVENT_IN_FUTURE"),
        (-168 * HOUR_S, "TOKEN_MISSING"),
        (-168 * HOUR_S - 1, "EVENT_TOO_OLD"),
    ],
)
@pytest.mark.parametrize("field", ["event_id", "occurred_at"])
async def test_an_event_without_a_token_must_lie_within_the_horizon(
    desk: Desk, field: str, offset_s: float, reason: str
) -> None:
    at_s = NOW + offset_s
    if field == "event_id":
        report = make_report(event_id=desk.uuid(at_s))
    else:
        report = make_report(event_id=desk.uuid(), occurred_at_us=int(at_s * 1e6))
    one = (await desk.record(report))[0]
    assert one.outcome.reason == reason
    assert one.outcome.field == ("reward_token" if reason == "TOKEN_MISSING" else field)
    assert one.outcome.advice == {"TOKEN_MISSING": "NONE", "EVENT_IN_FUTURE": "RETRY"}.get(reason, "DROP")


@pytest.mark.parametrize(
    ("event_id", "reason"),
    [
        ("", "EVENT_ID_REQUIRED"),
        ("not-a-uuid", "EVENT_ID_FORMAT"),
        (str(UUID(int=0)), "EVENT_ID_FORMAT"),
        ("a3bb189e-8bf9-4888-9912-ace4e6543002", "EVENT_ID_FORMAT"),  # version 4
        ("{01a0c450-6c00-74af-8ce7-11021071f52d}", "EVENT_ID_FORMAT"),
        ("urn:uuid:01a0c450-6c00-74af-8ce7-11021071f52d", "EVENT_ID_FORMAT"),
        ("01a0c4506c0074af8ce711021071f52d", "EVENT_ID_FORMAT"),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", "EVENT_IN_FUTURE"),
        ("00000000-0000-7000-8000-000000000000", "EVENT_TOO_OLD"),
    ],
)
async def test_an_event_without_a_token_needs_an_id_that_tells_its_time(
    desk: Desk, event_id: str, reason: str
) -> None:
    one = (await desk.record(make_report(event_id=event_id)))[0]
    assert (one.outcome.reason, one.outcome.field, one.event) == (reason, "event_id", None)


async def test_case_does_not_make_another_event(desk: Desk) -> None:
    event_id = desk.uuid()
    judged = await desk.record(make_report(event_id=event_id), make_report(event_id=event_id.upper()))
    assert [one.outcome.reason for one in judged] == ["TOKEN_MISSING", "DUPLICATE_IN_BATCH"]


async def test_the_first_of_equal_events_is_appended_and_the_others_are_as_good_as_taken(
    desk: Desk,
) -> None:
    token = await desk.token()
    judged = await desk.record(
        make_report("view", token, desk.uuid()),
        make_report("view", token, desk.uuid()),
        make_report("save", token),
    )
    assert told(judged) == [
        ("OK", "", True, True),
        ("OK", "DUPLICATE_IN_BATCH", True, False),
        ("OK", "", True, True),
    ]
    assert [event.kind for event in await desk.appended()] == [2, 3]


async def test_a_bad_event_never_spoils_the_others(desk: Desk) -> None:
    token = await desk.token()
    judged = await desk.record(
        make_report("", token),
        make_report("view", token),
        make_report("save", token, problem=Violation("properties", "PROPERTIES_LIMIT", "must be smaller")),
        make_report("apply", token),
    )
    assert [one.outcome.code for one in judged] == ["INVALID_ARGUMENT", "OK", "INVALID_ARGUMENT", "OK"]
    assert len(await desk.appended()) == 2


async def test_nothing_accepted_is_nothing_appended(desk: Desk) -> None:
    recorded = await desk.recorder.record(TENANT, [make_report("")])
    assert recorded.durability is None
    assert await desk.appended() == []


async def test_the_answer_names_the_durability_that_was_reached(desk: Desk) -> None:
    recorded = await desk.recorder.record(TENANT, [make_report("view", await desk.token())])
    assert recorded.durability is Durability.MEMORY


@pytest.mark.parametrize(
    ("other", "field", "reason"),
    [
        ({"kind": ""}, "kind", "REQUIRED_FIELD"),
        ({"kind": "wink"}, "kind", "KIND_UNKNOWN"),
        ({"kind": "VIEW"}, "kind", "KIND_UNKNOWN"),
        ({"size_bytes": MOST_EVENT_BYTES + 1}, "", "EVENT_TOO_LARGE"),
        ({"item_id": "a b"}, "item_id", "ID_CHARSET"),
        ({"item_id": "a" * 129}, "item_id", "ID_LENGTH"),
        ({"person": Person(user_id="a\x00")}, "person.user_id", "ID_CHARSET"),
        ({"person": Person(anonymous_id="a\r\n")}, "person.anonymous_id", "ID_CHARSET"),
        ({"session_id": "ses:sion"}, "session_id", "ID_CHARSET"),
        ({"value": float("nan")}, "value", "VALUE_OUT_OF_RANGE"),
        ({"value": float("inf")}, "value", "VALUE_OUT_OF_RANGE"),
        ({"value": -0.01}, "value", "VALUE_OUT_OF_RANGE"),
        ({"value": 1e9 + 1}, "value", "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_a_field_that_breaks_its_rule_refuses_the_event(
    desk: Desk, other: dict[str, object], field: str, reason: str
) -> None:
    report = structs.replace(make_report("view", await desk.token()), **other)
    one = (await desk.record(report))[0]
    assert (one.outcome.code, one.outcome.field, one.outcome.reason) == ("INVALID_ARGUMENT", field, reason)
    assert one.outcome.advice == ("RETRY" if reason == "KIND_UNKNOWN" else "DROP")
    assert one.outcome.message


@pytest.mark.parametrize("value", [0.0, 1.0, 1e9])
async def test_a_value_may_be_anything_up_to_a_thousand_million(desk: Desk, value: float) -> None:
    await desk.record(make_report("apply", await desk.token(), value=value))
    assert [event.value for event in await desk.appended()] == [value]


async def test_a_kind_that_left_the_policy_is_no_longer_taken() -> None:
    desk = Desk(make_policy(kinds={"shrug": Kind()}, feeds={"draw": Policy().feeds["draw"]}))
    token = await desk.token()
    judged = await desk.record(*(make_report(kind, token) for kind in ("impression", "shrug", "view")))
    assert [one.outcome.reason for one in judged] == ["", "", "KIND_UNKNOWN"]


async def test_a_call_is_split_into_entries_of_bounded_size(desk: Desk) -> None:
    reports = [make_report(event_id=desk.uuid(), size_bytes=10_000) for _ in range(60)]
    await desk.record(*reports)
    records = await desk.log.read([TENANT], 100, 0)
    sizes = [len(record.entry.events) for record in records if record.entry]
    assert sizes == [26, 26, 8]
    assert {record.entry.received_at_us for record in records if record.entry} == {int(NOW * 1e6)}


async def test_a_tenant_not_read_yet_is_told_to_come_again(desk: Desk) -> None:
    with pytest.raises(UnavailableError):
        await desk.recorder.record(9, [make_report()])


async def test_everything_sent_is_kept_as_it_came_but_the_item_which_the_token_decides(desk: Desk) -> None:
    token = await desk.token()
    await desk.record(
        make_report(
            "save",
            token,
            desk.uuid(),
            item_id="item-1",
            person=Person(anonymous_id="guest"),
            session_id="visit",
            occurred_at_us=12,
            value=3.5,
            properties=b'{"a":1}',
        )
    )
    event = (await desk.appended())[0]
    assert (event.item_id, event.anonymous_id, event.user_id, event.session_id) == (
        "",
        "guest",
        "",
        "visit",
    )
    assert (event.occurred_at_us, event.value, event.properties) == (12, 3.5, b'{"a":1}')
    assert event.unlearned is Unlearned.LEARNED
