"""What a person has seen is left out of the answer, where that is wanted."""

import pytest

from nearcast_config.policy import Policy, Scenario, Seen
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.person import Person
from nearcast_server.degrading import degraded
from nearcast_store.errors import SeenUnavailableError
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.seen.protocol import Sightings
from tests.unit.server.scene import (
    CENTER,
    KEYRING,
    NOW,
    TENANT,
    Scene,
    ids_of,
    make_area,
    make_policy,
    make_query,
    make_view,
    only_feed,
    town,
    wide,
)

ANN = Person(user_id="ann")
NOW_MS = int(NOW * 1000)
HOUR_MS = 3_600_000


def nearest(**changed: object) -> Policy:
    return only_feed("nearest", **changed)


async def remember(scene: Scene, shown_ms: dict[int, int], keyring: Keyring = KEYRING) -> None:
    who = subject_hash(keyring.signing_key.secret, ANN.user_id, "")
    await scene.seen.add([Sightings(TENANT, who, shown_ms, 10_000, 0, HOUR_MS)])


async def test_what_was_seen_is_left_out_before_the_slate_is_filled() -> None:
    scene = town(6, make_view(nearest()))
    await remember(scene, {1: NOW_MS, 3: NOW_MS})
    query = make_query(make_area(limit=3), person=ANN, exclude_seen=True)
    slate = await scene.ask(query)
    assert ids_of(slate) == ["item-0002", "item-0004", "item-0005"]
    assert [placed.rank for placed in slate.items] == [1, 2, 3]
    assert not slate.seen_unknown


async def test_the_circle_widens_while_all_that_is_near_was_seen() -> None:
    scene = town(4, make_view(nearest(radius=wide())), distance_of=lambda posting: 900.0 * posting)
    await remember(scene, {1: NOW_MS})
    slate = await scene.ask(make_query(make_area(limit=1, radius_m=1000.0), person=ANN, exclude_seen=True))
    assert ids_of(slate) == ["item-0002"]
    assert slate.radius_used_m > 1000.0


@pytest.mark.parametrize(
    ("asked", "surface", "left_out"),
    [(None, False, False), (None, True, True), (False, True, False), (True, False, True)],
)
async def test_the_query_decides_and_else_the_surface(
    asked: bool | None, surface: bool, left_out: bool
) -> None:
    scenarios = {"default": Scenario(feeds=("nearest",), exclude_seen=surface)}
    scene = town(3, make_view(make_policy(scenarios=scenarios)))
    await remember(scene, {1: NOW_MS})
    slate = await scene.ask(make_query(person=ANN, exclude_seen=asked))
    assert ("item-0001" not in ids_of(slate)) is left_out


@pytest.mark.parametrize("person", [Person(), Person(anonymous_id="ann"), Person(user_id="bob")])
async def test_others_and_people_unknown_have_seen_nothing(person: Person) -> None:
    scene = town(3, make_view(nearest()))
    await remember(scene, {1: NOW_MS})
    assert len(ids_of(await scene.ask(make_query(person=person, exclude_seen=True)))) == 3


async def test_the_policy_bounds_how_long_and_how_many() -> None:
    scene = town(6, make_view(nearest(seen=Seen(most=2, keep_hours=1.0))))
    await remember(scene, {1: NOW_MS - 2 * HOUR_MS, 2: NOW_MS - 30, 3: NOW_MS - 20, 4: NOW_MS - 10})
    query = make_query(person=ANN, exclude_seen=True)
    assert ids_of(await scene.ask(query)) == ["item-0001", "item-0002", "item-0005", "item-0006"]
    scene.show(make_view(nearest(seen=Seen(most=0))))
    assert len(ids_of(await scene.ask(query))) == 6


async def test_a_person_is_known_by_the_key_before_too() -> None:
    before, after = SigningKey(7, b"k" * 32), SigningKey(8, b"n" * 32)
    scene = town(3, make_view(nearest(), keyring=Keyring((before, after))))
    await remember(scene, {1: NOW_MS}, Keyring((before,)))
    await remember(scene, {2: NOW_MS}, Keyring((after,)))
    assert ids_of(await scene.ask(make_query(person=ANN, exclude_seen=True))) == ["item-0003"]


async def test_pages_repeat_nothing_and_leave_out_what_was_seen_meanwhile() -> None:
    scene = town(6, make_view(nearest()))
    query = make_query(make_area(limit=2), person=ANN, exclude_seen=True)
    first = await scene.ask(query)
    await remember(scene, {1: NOW_MS, 3: NOW_MS})
    second = await scene.ask(
        make_query(make_area(limit=2), person=ANN, exclude_seen=True, page_token=first.next_page_token)
    )
    assert (ids_of(first), ids_of(second)) == (["item-0001", "item-0002"], ["item-0004", "item-0005"])


class DownSeenStore(MemorySeenStore):
    """Does not answer."""

    async def seen_since(self, *_: object) -> frozenset[int]:
        raise SeenUnavailableError("down")


async def test_when_it_cannot_be_read_the_answer_is_whole_and_says_so() -> None:
    scene = Scene(make_view(nearest()), seen=DownSeenStore())
    scene.put(*(served.served for served in (await town(3).index.near(TENANT, CENTER, 5e3, 9)).hits))
    slate = await scene.ask(make_query(person=ANN, exclude_seen=True))
    assert len(slate.items) == 3
    assert slate.seen_unknown
    assert degraded(slate.view, NOW, seen_unknown=slate.seen_unknown) == ("SEEN_UNAVAILABLE",)
    assert not (await scene.ask(make_query(person=ANN))).seen_unknown
