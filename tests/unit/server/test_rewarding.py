"""The proof that goes out with every item."""

import pytest

from nearcast_config.policy import Exploration, Scenario
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import uuid7_ms
from tests.unit.server.scene import (
    KEYRING,
    TENANT,
    make_area,
    make_epoch,
    make_policy,
    make_query,
    make_view,
    town,
    with_epochs,
)


async def test_every_claim_of_a_reward_token_says_what_was_decided() -> None:
    policy = make_policy(
        exploration=Exploration(share=0.25), scenarios={"default": Scenario(), "home": Scenario()}
    )
    view = make_view(policy)
    scene = town(12, with_epochs(view, make_epoch(view, 41, (0.1, 0.2, 0.3, 0.4))))
    query = make_query(make_area(limit=5), person=Person(user_id="u1"), scenario="home", session_id="s1")
    first = await scene.ask(query)
    second = await scene.ask(
        make_query(
            make_area(limit=5),
            person=Person(user_id="u1"),
            scenario="home",
            session_id="s1",
            page_token=first.next_page_token,
        )
    )
    for slate in (first, second):
        decision = slate.decision
        for placed in slate.items:
            assert scene.view.tokens.rewards.verify(placed.token, TENANT) == Claims(
                tenant_id=TENANT,
                request_id=decision.request_id,
                posting=placed.shown.posting,
                position=placed.rank,
                feed=decision.choice.number,
                feed_propensity=decision.choice.propensity,
                scenario=view.revision.scenarios["home"],
                market=0,
                policy_revision=1,
                policy_epoch=41,
                explore=decision.choice.explore,
                subject_hash=subject_hash(KEYRING.signing_key.secret, "u1", ""),
                session_hash=decision.visit.session[:8],
                key_id=KEYRING.signing_key.key_id,
            )
    assert len(Claims.__struct_fields__) == 14


async def test_a_request_id_carries_the_time_of_the_request() -> None:
    scene = town(3)
    slate = await scene.ask()
    assert uuid7_ms(slate.decision.request_id) == int(scene.now * 1000)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Person(user_id="x"), Person(anonymous_id="x")),
        (Person(user_id="x"), Person(user_id="y")),
        (Person(user_id="x"), Person()),
    ],
)
async def test_people_are_told_apart_without_being_named(one: Person, two: Person) -> None:
    scene = town(3)
    hashes = []
    for person in (one, two):
        slate = await scene.ask(make_query(person=person))
        hashes.append(scene.view.tokens.rewards.verify(slate.items[0].token, TENANT).subject_hash)
    assert hashes[0] != hashes[1]
    assert (hashes[1] == UNKNOWN_HASH) is (two == Person())


async def test_a_session_id_never_travels_as_it_is() -> None:
    scene = town(3)
    slate = await scene.ask(make_query(session_id="sessionsession16"))
    assert slate.decision.visit.session != b"sessionsession16"
    same = await scene.ask(make_query(session_id="sessionsession16"))
    assert same.decision.visit.session == slate.decision.visit.session
