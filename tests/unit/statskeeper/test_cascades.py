"""Answers that people read from the top until a success: which rows say so, and what is passed over."""

import random

import pytest
from msgspec.structs import replace

from nearcast_config.policy import Exposure, Policy
from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.kinds import APPLY, IMPRESSION, PASSED_OVER, SAVE, VIEW
from nearcast_statskeeper.folding import nobody_leaves, plan
from nearcast_statskeeper.roster import Roster, kinds_left_at
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.protocol import Revision
from nearcast_store.tenants.memory import MemoryTenantStore
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, claims, every_kind_rewards, learned, record

CASCADES = 2
"""The policy revision under which people leave at a save or an application."""


def leaving(_tenant_id: int, revision: int) -> frozenset[int]:
    return frozenset({SAVE, APPLY}) if revision == CASCADES else frozenset()


def event(kind: int, position: int, request: int = 1, revision: int = CASCADES) -> AcceptedEvent:
    said = claims(request, position * 10, position=position, policy_revision=revision)
    return replace(learned(kind), claims=said)


def slate(*acts: tuple[int, int], shown: int = 5, revision: int = CASCADES) -> list[AcceptedEvent]:
    """Impressions of so many positions, and what was done at which."""
    seen = [event(IMPRESSION, position, revision=revision) for position in range(1, shown + 1)]
    return [*seen, *(event(kind, position, revision=revision) for kind, position in acts)]


async def passed(*events: AcceptedEvent, seed: int = 0) -> set[int]:
    """The positions that are counted as passed over, whatever the events came with."""
    store, rng, left = MemoryCountStore(), random.Random(seed), list(events)
    rng.shuffle(left)
    while left:
        size = rng.choice((1, 2, 9))
        await store.fold(plan([record(*left[:size])], every_kind_rewards, (), leaving).batch)
        left = left[size:]
    rows = (await store.changed_since(TENANT, None)).rows
    return {row.position_bucket for row in rows if row.kind == PASSED_OVER and row.count}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("acts", "below"),
    [
        ([], set()),
        ([(VIEW, 1)], set()),
        ([(APPLY, 5)], set()),
        ([(APPLY, 2)], {3, 4, 5}),
        ([(SAVE, 1), (APPLY, 4)], {5}),
        ([(VIEW, 5), (SAVE, 3)], {4, 5}),
    ],
)
async def test_what_lies_below_the_last_success_is_passed_over(
    acts: list[tuple[int, int]], below: set[int], seed: int
) -> None:
    assert await passed(*slate(*acts), seed=seed) == below


async def test_an_act_proves_its_impression_which_may_be_passed_over_too() -> None:
    """Somebody looked at the fifth without its having been reported, and left at the second."""
    assert await passed(event(VIEW, 5), event(APPLY, 2)) == {5}


async def test_answers_of_other_revisions_are_not_read_like_that() -> None:
    assert await passed(*slate((APPLY, 1), revision=1)) == set()


async def test_answers_do_not_touch_each_other() -> None:
    assert await passed(event(APPLY, 1, request=1), event(IMPRESSION, 2, request=2)) == set()


def test_rows_say_what_they_are_in_the_ledger() -> None:
    batch = plan([record(*slate((VIEW, 1), (APPLY, 2), shown=2))], every_kind_rewards, (), leaving).batch
    assert {(row.event.kind, row.cascades) for row in batch.rows} == {
        (IMPRESSION, True),
        (VIEW, False),
        (APPLY, True),
    }
    batch = plan([record(*slate((APPLY, 2)))], every_kind_rewards, (), nobody_leaves).batch
    assert not any(row.cascades for row in batch.rows)


def revision_of(exposure: Exposure) -> Revision:
    policy = replace(Policy(), exposure=exposure)
    return Revision(TENANT, 1, policy, {"view": VIEW, "save": SAVE, "apply": APPLY}, {}, {})


@pytest.mark.parametrize(
    ("exposure", "kinds"),
    [
        (Exposure(), set()),
        (Exposure(mode="pbm", position_curve=(1.0,)), set()),
        (Exposure(mode="cascade"), {VIEW, SAVE, APPLY}),
        (Exposure(mode="cascade", stops_at=("apply",)), {APPLY}),
    ],
)
def test_people_leave_at_what_the_policy_names_or_gives_weight(exposure: Exposure, kinds: set[int]) -> None:
    assert kinds_left_at(revision_of(exposure)) == kinds


async def test_an_answer_is_judged_by_the_revision_that_made_it(clock: FixedClock) -> None:
    policies = MemoryPolicyStore(clock, first=Policy())
    for mode in ("seen", "cascade", "seen"):
        exposure = Exposure(mode=mode)  # type: ignore[arg-type]
        await policies.apply(TENANT, replace(Policy(), exposure=exposure), "", "")
    roster = Roster(MemoryTenantStore(clock), policies, clock)
    _, leaves = await roster.judges({(TENANT, number) for number in (1, 2, 3, 9)})
    assert [bool(leaves(TENANT, number)) for number in (1, 2, 3, 9)] == [False, True, False, False]
