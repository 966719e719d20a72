"""What every store of policies, epochs and keys does, in memory and in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import msgspec
import pytest

from nearcast_config.mastery import Master
from nearcast_config.policy import Feed, Kind, Policy, Radius, Scenario
from nearcast_config.policytext import default_policy
from nearcast_config.problems import SettingsError
from nearcast_config.segmentation import Segments
from nearcast_ledger.keyring import Keyring
from nearcast_store.errors import (
    DataRefusedError,
    RequestReusedError,
    RevisionChangedError,
    StoreError,
    UnreadablePolicyError,
)
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.policies.protocol import Epoch, Shares, Terms
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.conftest import FixedClock

DAY_S = 86_400.0


@dataclass(slots=True)
class World:
    store: MemoryPolicyStore | PostgresPolicyStore
    tenant: int
    other: int


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def world(dsn: str | None, clock: FixedClock) -> AsyncIterator[World]:
    if dsn is None:
        yield World(MemoryPolicyStore(clock), 1, 2)
        return
    pool = await open_pool(dsn, size=8, timeout_s=10.0)
    tenants = PostgresTenantStore(pool, clock)
    one, two = await tenants.ensure_tenant("one", ""), await tenants.ensure_tenant("two", "")
    yield World(PostgresPolicyStore(pool, clock), one, two)
    await pool.close()


def changed(**fields: object) -> Policy:
    return msgspec.structs.replace(default_policy(), **fields)


def ids_of(keyring: Keyring) -> set[int]:
    return {key.key_id for key in keyring.keys}


NARROW = changed(radius=Radius(default_m=1000.0))


async def test_the_default_policy_becomes_revision_one(world: World) -> None:
    revisions = await asyncio.gather(*(world.store.current(world.tenant) for _ in range(6)))
    assert all(revision == revisions[0] for revision in revisions)
    assert (revisions[0].tenant_id, revisions[0].number) == (world.tenant, 1)
    assert revisions[0].policy == default_policy()


async def test_built_in_slugs_have_fixed_numbers(world: World) -> None:
    revision = await world.store.current(world.tenant)
    assert revision.kinds == {"impression": 1, "view": 2, "save": 3, "apply": 4}
    assert revision.feeds == {"explore": 1, "draw": 2, "most_applied": 3, "nearest": 4, "newest": 5}
    assert revision.scenarios == {"default": 1}


async def test_the_last_revision_wins_and_the_same_again_changes_nothing(world: World) -> None:
    first = await world.store.apply(world.tenant, NARROW, "me", "narrower")
    assert first.number == 1
    second = await world.store.apply(world.tenant, default_policy(), "me", "")
    assert await world.store.apply(world.tenant, default_policy(), "you", "again") == second
    assert (await world.store.current(world.tenant)).number == 2
    back = await world.store.apply(world.tenant, NARROW, "me", "back")
    assert (back.number, back.policy) == (3, NARROW)
    assert await world.store.current(world.tenant) == back


async def test_every_revision_can_be_read_by_its_number(world: World) -> None:
    first = await world.store.current(world.tenant)
    more = changed(kinds=default_policy().kinds | {"call": Kind(rewards_feed=False)})
    second = await world.store.apply(world.tenant, more, "me", "")
    await world.store.apply(world.tenant, NARROW, "me", "")
    assert await world.store.revision(world.tenant, 1) == first
    assert await world.store.revision(world.tenant, 2) == second
    for tenant, number in ((world.tenant, 4), (world.tenant, 0), (world.other, 1), (99, 1)):
        assert await world.store.revision(tenant, number) is None


async def test_the_order_of_names_is_no_change(world: World) -> None:
    first = await world.store.current(world.tenant)
    turned = changed(feeds=dict(reversed(default_policy().feeds.items())))
    assert await world.store.apply(world.tenant, turned, "me", "") == first


async def test_concurrent_policies_become_revisions_one_after_the_other(world: World) -> None:
    policies = [changed(radius=Radius(default_m=1000.0 + n)) for n in range(6)]
    revisions = await asyncio.gather(*(world.store.apply(world.tenant, each, "me", "") for each in policies))
    assert sorted(revision.number for revision in revisions) == [1, 2, 3, 4, 5, 6]
    assert (await world.store.current(world.tenant)).number == 6


async def test_a_slug_keeps_its_number_for_ever(world: World) -> None:
    default = default_policy()
    more = changed(
        kinds=default.kinds | {"call": Kind(weight=3.0), "ask": Kind()},
        feeds=default.feeds | {"a_feed": Feed(order="nearest")},
        scenarios={"default": Scenario(), "map": Scenario()},
    )
    with_more = await world.store.apply(world.tenant, more, "me", "")
    assert (with_more.kinds["ask"], with_more.kinds["call"]) == (16, 17)
    assert (with_more.feeds["a_feed"], with_more.feeds["draw"]) == (2, 3)
    assert with_more.scenarios == {"default": 1, "map": 2}
    without = await world.store.apply(world.tenant, default, "me", "")
    assert "call" not in without.kinds
    again = await world.store.apply(
        world.tenant, changed(kinds=default.kinds | {"call": Kind(), "beg": Kind()}), "me", ""
    )
    assert (again.kinds["call"], again.kinds["beg"]) == (17, 18)
    assert again.feeds["draw"] == 3


async def test_a_change_is_made_only_to_the_revision_that_was_expected(world: World) -> None:
    await world.store.current(world.tenant)
    assert (await world.store.apply(world.tenant, NARROW, "me", "", Terms(expected=1))).number == 2
    with pytest.raises(RevisionChangedError) as told:
        await world.store.apply(world.tenant, default_policy(), "me", "", Terms(expected=1))
    assert told.value.in_force == 2
    assert (await world.store.current(world.tenant)).policy == NARROW


async def test_of_changes_to_the_same_revision_one_is_made(world: World) -> None:
    await world.store.current(world.tenant)
    policies = [changed(radius=Radius(default_m=1000.0 + n)) for n in range(6)]
    done = await asyncio.gather(
        *(world.store.apply(world.tenant, each, "me", "", Terms(expected=1)) for each in policies),
        return_exceptions=True,
    )
    assert sum(isinstance(each, RevisionChangedError) for each in done) == 5
    assert (await world.store.current(world.tenant)).number == 2


async def test_a_request_sent_again_is_answered_as_before_and_changes_nothing(world: World) -> None:
    narrow = Terms(request_id="r-1", asked=b"n" * 32)
    await world.store.current(world.tenant)
    second = await world.store.apply(world.tenant, NARROW, "me", "", narrow)
    assert (await world.store.apply(world.tenant, default_policy(), "you", "")).number == 3
    again = await world.store.apply(world.tenant, NARROW, "me", "", narrow)
    assert again == second
    assert (await world.store.current(world.tenant)).number == 3
    with pytest.raises(RequestReusedError):
        await world.store.apply(world.tenant, NARROW, "me", "", Terms(request_id="r-1", asked=b"x" * 32))
    assert (await world.store.apply(world.other, NARROW, "me", "", narrow)).tenant_id == world.other


async def test_a_request_that_changed_nothing_is_remembered_too(world: World) -> None:
    same = Terms(request_id="r-2", asked=b"s" * 32)
    await world.store.current(world.tenant)
    assert (await world.store.apply(world.tenant, default_policy(), "me", "", same)).number == 1
    await world.store.apply(world.tenant, NARROW, "me", "")
    assert (await world.store.apply(world.tenant, default_policy(), "me", "", same)).number == 1
    assert (await world.store.current(world.tenant)).number == 2


async def test_revisions_are_listed_newest_first_in_pages(world: World) -> None:
    await world.store.current(world.tenant)
    await world.store.apply(world.tenant, NARROW, "me", "narrower")
    await world.store.apply(world.tenant, default_policy(), "you", "back")
    notes = await world.store.revisions(world.tenant, 1 << 62, 2)
    assert [(note.number, note.author, note.note) for note in notes] == [
        (3, "you", "back"),
        (2, "me", "narrower"),
    ]
    first = await world.store.revisions(world.tenant, 2, 2)
    assert [note.number for note in first] == [1]
    assert first[0].checksum == notes[0].checksum != notes[1].checksum
    assert await world.store.revisions(world.other, 1 << 62, 2) == []


async def test_a_segment_keeps_its_number_and_there_is_an_end_of_them(world: World) -> None:
    assert (await world.store.current(world.tenant)).segments == {}

    async def numbers(*names: str) -> object:
        policy = changed(segments=Segments(names=names))
        return (await world.store.apply(world.tenant, policy, "me", "")).segments

    assert await numbers("new", "old") == {"new": 1, "old": 2}
    assert await numbers("other") == {"other": 3}
    assert await numbers("old") == {"old": 2}
    for first in range(4, 60, 14):
        await numbers(*(f"s{number}" for number in range(first, first + 14)))
    assert await numbers("s60", "s61", "s62", "new") == {"s60": 60, "s61": 61, "s62": 62, "new": 1}
    with pytest.raises(SettingsError, match=r"segments\.names: must name at most 63 over all revisions"):
        await numbers("s63", "s64")
    assert await numbers("s63") == {"s63": 63}


async def test_a_holdout_has_a_number_of_its_own_once_it_is_asked_for(world: World) -> None:
    assert "holdout" not in (await world.store.current(world.tenant)).feeds
    held = await world.store.apply(world.tenant, changed(master=Master(holdout_share=0.1)), "me", "")
    assert held.feeds["holdout"] == 6
    assert "holdout" not in (await world.store.apply(world.tenant, NARROW, "me", "")).feeds
    again = await world.store.apply(world.tenant, changed(master=Master(holdout_share=0.2)), "me", "")
    assert again.feeds["holdout"] == 6


async def test_an_impossible_policy_is_refused(world: World) -> None:
    impossible = changed(radius=Radius(default_m=5000.0, max_m=10.0))
    with pytest.raises(Exception, match="radius"):
        await world.store.apply(world.tenant, impossible, "me", "")
    assert (await world.store.current(world.tenant)).number == 1


def epoch(world: World, number: int, published_at: float, revision: int = 1) -> Epoch:
    shares: Shares = {
        0: {(2, 3, 5): {2: 0.1 + 0.2, 3: 1 / 3, 5: 1e-17}, (3,): {3: 1.0}},
        7: {(2,): {2: 1.0}},
    }
    segments: dict[int, Shares] = {3: {0: {(2, 3): {2: 1 / 3, 3: 2 / 3}}, 7: {(2,): {2: 1.0}}}}
    return Epoch(world.tenant, number, revision, shares, published_at, segments, {0: 12, 7: 1_000_000})


async def test_epochs_come_back_exactly(world: World, clock: FixedClock) -> None:
    await world.store.current(world.tenant)
    assert await world.store.latest_epoch(world.tenant) is None
    epochs = [epoch(world, number, clock() + number * 60) for number in (1, 2, 3)]
    for each in epochs:
        await world.store.publish(each)
    assert await world.store.latest_epoch(world.tenant) == epochs[2]
    assert await world.store.epochs_since(world.tenant, epochs[0].published_at) == epochs[1:]
    assert await world.store.epochs_since(world.tenant, 0.0) == epochs
    assert await world.store.epochs_since(world.other, 0.0) == []
    assert await world.store.latest_epoch(world.other) is None


async def test_an_epoch_needs_a_new_number_and_a_known_revision(world: World, clock: FixedClock) -> None:
    await world.store.current(world.tenant)
    await world.store.publish(epoch(world, 1, clock()))
    for wrong in (epoch(world, 1, clock()), epoch(world, 0, clock()), epoch(world, 2, clock(), revision=9)):
        with pytest.raises(DataRefusedError):
            await world.store.publish(wrong)


async def test_the_first_key_is_made_once(world: World) -> None:
    keyrings = await asyncio.gather(*(world.store.keyring(world.tenant) for _ in range(6)))
    assert all(keyring == keyrings[0] for keyring in keyrings)
    assert [key.key_id for key in keyrings[0].keys] == [1]
    assert (await world.store.keyring(world.other)).signing_key.secret != keyrings[0].signing_key.secret


async def test_a_new_key_only_verifies_until_every_gateway_knows_it(world: World, clock: FixedClock) -> None:
    first = await world.store.keyring(world.tenant)
    assert first.signing_key.key_id == 1
    clock.advance(60)
    rotated = await world.store.rotate(world.tenant)
    assert ([key.key_id for key in rotated.keys], rotated.signing_key.key_id) == ([2, 1], 1)
    clock.advance(14.9)
    assert await world.store.keyring(world.tenant) == rotated
    clock.advance(0.2)
    keyring = await world.store.keyring(world.tenant)
    assert ([key.key_id for key in keyring.keys], keyring.signing_key.key_id) == ([1, 2], 2)


async def test_several_new_keys_leave_the_one_that_everybody_knows_signing(
    world: World, clock: FixedClock
) -> None:
    for _ in range(3):
        assert (await world.store.rotate(world.tenant)).signing_key.key_id == 1
        clock.advance(5)
    assert (await world.store.rotate(world.tenant)).signing_key.key_id == 1
    clock.advance(15)
    assert (await world.store.keyring(world.tenant)).signing_key.key_id == 4


async def test_older_keys_verify_for_eight_more_days(world: World, clock: FixedClock) -> None:
    await world.store.keyring(world.tenant)
    ids = []
    for _ in range(3):
        clock.advance(60)
        ids.append(ids_of(await world.store.rotate(world.tenant)))
    assert ids == [{1, 2}, {1, 2, 3}, {1, 2, 3, 4}]
    clock.advance(8 * DAY_S - 60)  # key 1 was retired by key 3, a minute before key 2 was by key 4
    assert ids_of(await world.store.keyring(world.tenant)) == {2, 3, 4}
    clock.advance(60)
    assert ids_of(await world.store.keyring(world.tenant)) == {3, 4}
    clock.advance(365 * DAY_S)
    assert ids_of(await world.store.keyring(world.tenant)) == {3, 4}


async def test_the_newest_key_comes_to_sign_even_if_the_clock_goes_back(
    world: World, clock: FixedClock
) -> None:
    await world.store.rotate(world.tenant)
    clock.advance(-3600)
    assert (await world.store.rotate(world.tenant)).signing_key.key_id == 1
    clock.advance(3600 + 16)
    assert (await world.store.keyring(world.tenant)).signing_key.key_id == 2


async def test_key_ids_run_out_and_are_used_again(world: World, clock: FixedClock) -> None:
    for _ in range(255):
        keyring = await world.store.rotate(world.tenant)
    assert ids_of(keyring) == set(range(1, 256))
    with pytest.raises(StoreError, match="wait until the oldest is forgotten"):
        await world.store.rotate(world.tenant)
    clock.advance(10 * DAY_S)
    assert [key.key_id for key in (await world.store.rotate(world.tenant)).keys] == [254, 1, 255]


async def test_concurrent_rotations_give_keys_of_their_own(world: World) -> None:
    await asyncio.gather(*(world.store.rotate(world.tenant) for _ in range(5)))
    keyring = await world.store.keyring(world.tenant)
    assert ids_of(keyring) == {1, 2, 3, 4, 5}


async def test_a_tenant_must_exist(database: str) -> None:
    pool = await open_pool(database, size=1, timeout_s=10.0)
    store = PostgresPolicyStore(pool)
    for ask in (store.current, store.keyring, store.rotate):
        with pytest.raises(DataRefusedError, match="no tenant 99"):
            await ask(99)
    await pool.close()


async def test_a_policy_of_another_version_is_named_as_such(database: str) -> None:
    pool = await open_pool(database, size=1, timeout_s=10.0)
    tenant = await PostgresTenantStore(pool).ensure_tenant("one", "")
    store = PostgresPolicyStore(pool)
    await store.current(tenant)
    connection = await asyncpg.connect(database)
    await connection.execute("""update policy_revisions set body = '{"teleport": 1}'""")
    await connection.close()
    for reading in (store.current(tenant), store.revision(tenant, 1)):
        with pytest.raises(UnreadablePolicyError, match=r"(?s)revision 1 .* another version.*teleport"):
            await reading
    assert (await store.apply(tenant, NARROW, "me", "")).number == 2
    await pool.close()
