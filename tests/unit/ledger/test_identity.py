"""When two reports are one event."""

from datetime import date
from uuid import UUID

import pytest
from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.identity import Identity, identity_of, implied_impression
from nearcast_ledger.kinds import APPLY, BUILT_IN_KIND_NUMBERS, IMPRESSION, SAVE, VIEW
from nearcast_ledger.requestid import RequestIds

DAY_MS = 86_400_000
REQUEST_MS = 20_000 * DAY_MS
REQUEST = RequestIds(lambda: REQUEST_MS, bytes).next()
EVENT = RequestIds(lambda: REQUEST_MS + DAY_MS, bytes).next()
REQUEST_DAY, EVENT_DAY = date(2024, 10, 4), date(2024, 10, 5)
CLAIMS = Claims(7, REQUEST, 42, 3, 2, 0.5, 1, 0, 9, 11, False, b"subject1", b"session1", 1)


def act(
    kind: int = VIEW,
    unlearned: Unlearned = Unlearned.LEARNED,
    claims: Claims | None = CLAIMS,
    event_id: UUID | None = EVENT,
) -> AcceptedEvent:
    return AcceptedEvent(
        kind,
        unlearned,
        claims,
        event_id,
        "item",
        "user",
        "",
        "visit",
        occurred_at_us=5,
        value=2.0,
        properties=b"{}",
    )


@pytest.mark.parametrize(
    ("event", "identity"),
    [
        (act(), Identity(7, REQUEST_DAY, REQUEST, 42, VIEW)),
        (act(event_id=None), Identity(7, REQUEST_DAY, REQUEST, 42, VIEW)),
        (act(kind=APPLY), Identity(7, REQUEST_DAY, REQUEST, 42, APPLY)),
        (act(unlearned=Unlearned.TOKEN_EXPIRED), Identity(7, REQUEST_DAY, REQUEST, 42, VIEW)),
        (act(claims=replace(CLAIMS, posting=43)), Identity(7, REQUEST_DAY, REQUEST, 43, VIEW)),
        (act(claims=replace(CLAIMS, position=9, key_id=2)), Identity(7, REQUEST_DAY, REQUEST, 42, VIEW)),
        (act(unlearned=Unlearned.TOKEN_MISSING, claims=None), Identity(7, EVENT_DAY, EVENT, 0, 0)),
        (act(kind=SAVE, unlearned=Unlearned.TOKEN_INVALID, claims=None), Identity(7, EVENT_DAY, EVENT, 0, 0)),
    ],
    ids=[
        "by the token",
        "without event id",
        "other kind",
        "expired",
        "other posting",
        "same act from another place",
        "no token",
        "bad token",
    ],
)
def test_an_event_is_identified_by_its_token_or_its_id(event: AcceptedEvent, identity: Identity) -> None:
    assert identity_of(7, event) == identity


def test_tenants_never_share_an_identity() -> None:
    assert identity_of(7, act()) != identity_of(8, act())


def test_an_event_with_neither_cannot_be_identified() -> None:
    with pytest.raises(ValueError, match="claims or an event_id"):
        identity_of(7, act(claims=None, event_id=None))


@pytest.mark.parametrize("kind", [VIEW, SAVE, APPLY, 17])
def test_a_learned_act_implies_its_impression(kind: int) -> None:
    implied = implied_impression(act(kind=kind))
    assert implied is not None
    assert (implied.kind, implied.claims, implied.unlearned) == (IMPRESSION, CLAIMS, Unlearned.LEARNED)
    assert (implied.value, implied.event_id, implied.occurred_at_us, implied.properties) == (
        None,
        None,
        None,
        b"",
    )
    assert identity_of(7, implied) == identity_of(7, act(kind=IMPRESSION))


@pytest.mark.parametrize(
    "event",
    [
        act(kind=IMPRESSION),
        act(unlearned=Unlearned.TOKEN_EXPIRED),
        act(unlearned=Unlearned.TOKEN_SUBJECT),
        act(unlearned=Unlearned.TOKEN_MISSING, claims=None),
    ],
)
def test_nothing_else_implies_one(event: AcceptedEvent) -> None:
    assert implied_impression(event) is None


def test_the_numbers_of_built_in_kinds_never_change() -> None:
    assert BUILT_IN_KIND_NUMBERS == {"impression": 1, "view": 2, "save": 3, "apply": 4}
