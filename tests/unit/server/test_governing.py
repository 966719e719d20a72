"""Changes of policy: checked, expected, made once, taken back, frozen."""

import asyncio

import pytest

from nearcast_config.policytext import MOST_TEXT_CHARS, default_policy, policy_checksum, policy_to_toml
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_server.errors import ChangedError, InvalidRequestError, NotFoundError
from nearcast_server.governing import MOST_NOTE_CHARS, Governor, Wish
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.markets.protocol import Market
from nearcast_store.policies.memory import MemoryPolicyStore
from tests.geojsons import box

TENANT = 1
NARROW = "[policy.radius]\ndefault_m = 900\n"
ME = Wish("me")


@pytest.fixture
def policies() -> MemoryPolicyStore:
    return MemoryPolicyStore(lambda: 1_000.0)


@pytest.fixture
async def governor(policies: MemoryPolicyStore) -> Governor:
    markets = MemoryMarketStore()
    area = box(10.0, 59.0, 11.0, 60.0)
    await markets.upsert(TENANT, [Market("oslo", "", area, read_area(area, MARKET_LIMITS))], 0.0)
    await policies.current(TENANT)
    return Governor(policies, markets)


async def test_a_check_tells_problems_warnings_and_changes_and_stores_nothing(governor: Governor) -> None:
    bad = await governor.check(TENANT, "[policy.radius]\ndefault_m = -1\nmax_n = 5\n")
    assert [problem.key for problem in bad.problems] == ["policy.radius.default_m", "policy.radius.max_n"]
    assert not bad.changes
    good = await governor.check(
        TENANT, NARROW + "[policy.exploration]\nshare = 0\n[policy.markets.bergen]\nfrozen = true\n"
    )
    assert not good.problems
    assert [warning.key for warning in good.warnings] == [
        "policy.exploration.share",
        "policy.markets.bergen.frozen",
        "policy.markets.bergen",
    ]
    assert [str(change) for change in good.changes] == [
        "policy.exploration.share: 0.02 -> 0.0",
        "policy.markets.bergen.feeds: set to []",
        "policy.markets.bergen.frozen: set to true",
        "policy.radius.default_m: 5000.0 -> 900.0",
    ]
    assert (await governor.revision(TENANT, 0)).number == good.in_force == 1


async def test_an_impossible_policy_is_refused_with_every_key(governor: Governor) -> None:
    with pytest.raises(InvalidRequestError) as told:
        await governor.apply(TENANT, "[policy.radius]\ndefault_m = -1\n[policy.slat]\n", ME)
    assert [(v.field, v.reason) for v in told.value.violations] == [
        ("policy.radius.default_m", "POLICY_INVALID"),
        ("policy.slat", "POLICY_INVALID"),
    ]
    with pytest.raises(InvalidRequestError, match="is not TOML"):
        await governor.apply(TENANT, "radius = [", ME)


async def test_a_change_to_another_revision_than_expected_is_refused(governor: Governor) -> None:
    assert (await governor.apply(TENANT, NARROW, Wish("me", expected_revision=1))).revision == 2
    with pytest.raises(ChangedError, match="revision 2 is in force, not 1") as told:
        await governor.apply(TENANT, "[policy]", Wish("me", expected_revision=1))
    assert told.value.metadata == {"field": "expected_revision", "in_force": "2"}


async def test_a_call_sent_again_does_nothing_more(governor: Governor) -> None:
    wish = Wish("me", request_id="release-7")
    assert (await governor.apply(TENANT, NARROW, wish)).revision == 2
    assert (await governor.rollback(TENANT, 1, ME)).revision == 3
    assert (await governor.apply(TENANT, NARROW, wish)).revision == 2
    assert (await governor.revision(TENANT, 0)).number == 3
    with pytest.raises(InvalidRequestError) as told:
        await governor.rollback(TENANT, 1, wish)
    assert (told.value.reason, told.value.violations[0].field) == ("REQUEST_ID_REUSED", "request_id")


async def test_a_rollback_is_a_new_revision_that_says_what_the_old_one_said(governor: Governor) -> None:
    await governor.apply(TENANT, NARROW, ME)
    assert (await governor.rollback(TENANT, 1, ME)).revision == 3
    assert (await governor.revision(TENANT, 3)).policy == (await governor.revision(TENANT, 1)).policy
    (note, *_), _ = await governor.page(TENANT, 0, 1)
    assert (note.number, note.author, note.note) == (3, "me", "rollback to revision 1")


@pytest.mark.parametrize("number", [4, -1, 2**63 - 1])
async def test_a_revision_that_is_not_there_is_told_with_the_newest(governor: Governor, number: int) -> None:
    with pytest.raises(NotFoundError) as told:
        await governor.rollback(TENANT, number, ME)
    assert told.value.reason == "POLICY_REVISION_NOT_FOUND"
    assert told.value.metadata == {"field": "revision", "newest": "1"}


async def test_revisions_come_in_pages_that_end(governor: Governor) -> None:
    for metres in (900, 800, 700, 600):
        await governor.apply(TENANT, f"[policy.radius]\ndefault_m = {metres}\n", ME)
    seen, below = [], 0
    for _ in range(3):
        notes, below = await governor.page(TENANT, below, 2)
        seen.append([note.number for note in notes])
    assert (seen, below) == ([[5, 4], [3, 2], [1]], 0)
    with pytest.raises(InvalidRequestError):
        await governor.page(TENANT, 0, -1)


async def test_freezing_and_lifting_it_leaves_the_policy_as_it_was(governor: Governor) -> None:
    for market in ("", "oslo"):
        before = (await governor.revision(TENANT, 0)).policy
        made = await governor.freeze(TENANT, market, ME, frozen=True)
        frozen = (await governor.revision(TENANT, 0)).policy
        assert frozen.markets["oslo"].frozen if market else frozen.master.frozen
        assert made.warnings
        assert (await governor.freeze(TENANT, market, ME, frozen=True)).revision == made.revision
        await governor.freeze(TENANT, market, ME, frozen=False)
        assert policy_checksum((await governor.revision(TENANT, 0)).policy) == policy_checksum(before)


async def test_a_market_that_is_not_there_cannot_be_frozen_but_always_be_lifted(governor: Governor) -> None:
    with pytest.raises(InvalidRequestError) as told:
        await governor.freeze(TENANT, "olso", ME, frozen=True)
    assert (told.value.reason, told.value.violations[0].field) == ("MARKET_UNKNOWN", "market")
    await governor.apply(TENANT, "[policy.markets.gone]\nfrozen = true\n", ME)
    await governor.freeze(TENANT, "gone", ME, frozen=False)
    assert not (await governor.revision(TENANT, 0)).policy.markets


@pytest.mark.parametrize(
    ("market", "frozen", "hint"),
    [
        ("olso", True, "did you mean oslo?"),
        ("olso", False, "did you mean oslo?"),
        ("draw", True, "which is a feed"),
    ],
)
async def test_what_may_have_been_meant_by_a_market_is_told(
    governor: Governor, market: str, frozen: bool, hint: str
) -> None:
    with pytest.raises(InvalidRequestError) as told:
        await governor.freeze(TENANT, market, ME, frozen=frozen)
    assert told.value.reason == "MARKET_UNKNOWN"
    assert hint in told.value.violations[0].message
    assert (await governor.revision(TENANT, 0)).number == 1


async def test_a_change_says_whether_anything_changed_and_what_is_in_force(governor: Governor) -> None:
    named = Wish("me", request_id="r-1")
    made = [await governor.apply(TENANT, NARROW, named), await governor.apply(TENANT, NARROW, ME)]
    made += [await governor.rollback(TENANT, 2, ME), await governor.freeze(TENANT, "oslo", ME, frozen=False)]
    assert [(each.revision, each.is_changed, each.in_force) for each in made] == [
        (2, True, 2),
        (2, False, 2),
        (2, False, 2),
        (2, False, 2),
    ]
    back = await governor.rollback(TENANT, 1, ME)
    again = await governor.apply(TENANT, NARROW, named)
    assert (back.revision, back.is_changed) == (3, True)
    assert (again.revision, again.is_changed, again.in_force) == (2, False, 3)


async def test_freezing_several_markets_at_once_loses_none(
    governor: Governor, policies: MemoryPolicyStore
) -> None:
    await asyncio.gather(
        governor.freeze(TENANT, "oslo", ME, frozen=True), governor.freeze(TENANT, "", ME, frozen=True)
    )
    policy = (await policies.current(TENANT)).policy
    assert policy.master.frozen
    assert policy.markets["oslo"].frozen


async def test_lifting_a_freeze_by_another_policy_is_warned_about(governor: Governor) -> None:
    await governor.freeze(TENANT, "", ME, frozen=True)
    await governor.freeze(TENANT, "oslo", ME, frozen=True)
    made = await governor.apply(TENANT, NARROW, ME)
    lifted = [warning.key for warning in made.warnings if "no longer" in warning.message]
    assert lifted == ["policy.master.frozen", "policy.markets.oslo.frozen"]


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (Wish("me", note="x" * (MOST_NOTE_CHARS + 1)), "TEXT_TOO_LONG"),
        (Wish("me", note="a\0b"), "TEXT_CHARSET"),
        (Wish("me", request_id="a b"), "ID_CHARSET"),
        (Wish("me", request_id="x" * 129), "ID_LENGTH"),
    ],
)
async def test_what_no_change_may_carry_is_refused(governor: Governor, wish: Wish, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as told:
        await governor.apply(TENANT, NARROW, wish)
    assert told.value.reason == reason
    assert (await governor.revision(TENANT, 0)).number == 1


async def test_a_text_that_is_too_long_is_refused_before_it_is_read(governor: Governor) -> None:
    with pytest.raises(InvalidRequestError) as told:
        await governor.check(TENANT, "a" * (MOST_TEXT_CHARS + 1))
    assert told.value.reason == "TEXT_TOO_LONG"


async def test_what_is_shown_can_be_applied_and_changes_nothing(governor: Governor) -> None:
    checked = await governor.check(TENANT, policy_to_toml(default_policy()))
    assert not checked.changes
    assert (await governor.apply(TENANT, policy_to_toml(default_policy()), ME)).revision == 1
