"""Who is given which policy while one is tried, and what a contender sees of the tenant."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nearcast_config.mastery import Market, MarketKind
from nearcast_config.policy import Exposure, Feed, Kind, Policy, Scenario, Slate
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.kinds import IMPRESSION
from nearcast_server.contending import Contenders, is_tried_on
from nearcast_server.tenancy import View
from nearcast_store.experiments.protocol import Experiment, Mode, Wanted
from nearcast_store.markets.atlas import Atlas, Ranked
from nearcast_store.policies.memory import MemoryPolicyStore
from tests.conftest import FixedClock
from tests.geojsons import box
from tests.unit.server.scene import (
    NOW,
    TENANT,
    Scene,
    make_count,
    make_epoch,
    make_policy,
    make_query,
    make_revision,
    make_view,
    town,
    with_epochs,
)

KINDS = make_policy().kinds


class Running:
    """Experiments that run as the test says."""

    def __init__(self) -> None:
        self.experiments: list[Experiment] = []

    async def running(self, tenant_id: int) -> list[Experiment]:
        return [each for each in self.experiments if each.wanted.tenant_id == tenant_id]


class Office:
    """A tenant under the first policy; the second contends with it."""

    def __init__(self, clock: FixedClock, in_force: Policy | None = None) -> None:
        self.running = Running()
        self.policies = MemoryPolicyStore(clock)
        self.contenders = Contenders(TENANT, self.policies, self.running)
        self.revision = make_revision(in_force)
        epoch = make_epoch(make_view(in_force), 3, (0.1, 0.2, 0.3, 0.4))
        counts = [make_count(posting, IMPRESSION, 9) for posting in range(1, 9)]
        self.view = with_epochs(make_view(in_force, counts=counts), epoch)

    async def begin(self, policy: Policy, mode: Mode = "split", share: float = 0.5) -> View:
        """The contender is the second revision of the store; the view's own is number 1."""
        await self.policies.apply(TENANT, self.revision.policy, "t", "")
        revision = await self.policies.apply(TENANT, policy, "t", "")
        wanted = Wanted(TENANT, f"try-{mode}", mode, revision.number, 1, share, "t", "", NOW)
        self.running.experiments.append(Experiment(len(self.running.experiments) + 1, wanted))
        return await self.seen()

    async def seen(self) -> View:
        await self.contenders.follow(self.view.revision)
        return self.contenders.around(self.view)


@pytest.fixture
def office(clock: FixedClock) -> Office:
    return Office(clock)


def weighing(weight: float) -> dict[str, Kind]:
    return {**KINDS, "view": msgspec.structs.replace(KINDS["view"], weight=weight)}


def scene_of(view: View) -> Scene:
    scene = town(12, view)
    scene.show(view)
    return scene


async def test_without_an_experiment_the_view_is_the_same_object(office: Office) -> None:
    assert await office.seen() is office.view


async def test_a_contender_weighs_its_own_way_by_the_same_counts(office: Office) -> None:
    view = await office.begin(make_policy(kinds=dict(reversed(weighing(9.0).items()))))
    assert view.contender is not None
    own = view.contender.view
    assert own.evidence.kinds == view.evidence.kinds
    assert own.evidence.weights == (9.0, *view.evidence.weights[1:])
    assert own.evidence.exposures is view.evidence.exposures
    assert (own.epochs, own.contends, view.contends) == (view.epochs, True, False)


async def test_a_shadow_of_another_belief_has_posteriors_of_its_own(office: Office) -> None:
    hopeful = {**KINDS, "view": msgspec.structs.replace(KINDS["view"], prior_mean=0.4)}
    view = await office.begin(make_policy(kinds=hopeful), "shadow")
    assert view.shadow is not None
    assert view.contender is None
    assert not view.shadow.believes_alike
    before, after = (each.evidence.beliefs([1, 99]) for each in (view, view.shadow.view))
    np.testing.assert_array_equal(before.exposures, after.exposures)
    assert after.a[0, 1] == pytest.approx(0.4 * 20)
    assert (after.a[0] > before.a[0]).all()


async def test_a_shadow_of_another_belief_still_believes_what_is_said_of_a_market(clock: FixedClock) -> None:
    markets = {"oslo": Market(kinds={"view": MarketKind(prior_mean=0.3)})}
    office = Office(clock, make_policy(markets=markets))
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    office.view = replace(office.view, atlas=Atlas(1, [Ranked(7, "oslo", 0, area)]))
    hopeful = {**KINDS, "view": msgspec.structs.replace(KINDS["view"], prior_mean=0.4)}
    view = await office.begin(make_policy(markets=markets, kinds=hopeful), "shadow")
    assert view.shadow is not None
    row = view.shadow.view.evidence.kinds.index("view")
    beliefs = view.shadow.view.evidence.beliefs([99, 99], [(7, ""), (0, "")])
    assert [beliefs.prior(row, column).prior.mean for column in (0, 1)] == [0.3, 0.4]


async def test_shares_of_feeds_that_differ_begin_with_the_prior(office: Office) -> None:
    feeds = {**make_policy().feeds, "draw": Feed(order="draw", floor=0.5)}
    view = await office.begin(make_policy(feeds=feeds))
    assert view.contender is not None
    assert (dict(view.contender.view.epochs), view.contender.view.latest_epoch) == ({}, None)


async def test_what_cannot_run_beside_the_policy_in_force_is_paused_until_it_can(office: Office) -> None:
    view = await office.begin(make_policy(slate=Slate(default_limit=3)))
    assert view.contender is not None
    other = make_revision(make_policy(exposure=Exposure(half_life_hours=9.0)), number=7)
    office.view = replace(office.view, revision=other)
    assert await office.seen() is office.view
    office.view = replace(office.view, revision=office.revision)
    assert (await office.seen()).contender is not None


async def test_a_stopped_experiment_leaves_nothing(office: Office) -> None:
    await office.begin(make_policy(slate=Slate(default_limit=3)))
    office.running.experiments.clear()
    assert await office.seen() is office.view


async def test_a_session_keeps_its_arm_and_shares_are_even(office: Office) -> None:
    """2,000 sessions at 0.3; four standard deviations are 0.041. More share keeps who was in."""
    view = await office.begin(make_policy(slate=Slate(default_limit=3)), share=0.3)
    assert view.contender is not None
    names = [number.to_bytes(16, "little") for number in range(2000)]
    tried = [is_tried_on(view.contender, each) for each in names]
    assert sum(tried) / 2000 == pytest.approx(0.3, abs=0.041)
    wider = replace(view.contender, share=0.6)
    assert all(is_tried_on(wider, each) for each, was in zip(names, tried, strict=True) if was)


async def test_sessions_are_decided_by_their_arm_and_pages_by_what_began_them(office: Office) -> None:
    view = await office.begin(make_policy(slate=Slate(default_limit=3)))
    scene = scene_of(view)
    assert view.contender is not None
    limits = {}
    for number in range(40):
        slate = await scene.ask(make_query(session_id=f"s-{number}"))
        again = await scene.ask(make_query(session_id=f"s-{number}"))
        assert slate.view.revision.number == again.view.revision.number
        is_tried = is_tried_on(view.contender, slate.decision.visit.session)
        assert slate.view.contends is is_tried
        assert slate.claims is not None
        assert slate.claims.policy_revision == slate.view.revision.number
        if is_tried:
            assert slate.claims.policy_epoch == 0
        limits[slate.view.contends] = len(slate.items)
        page = await scene.ask(make_query(session_id=f"s-{number}", page_token=slate.next_page_token))
        assert page.view.contends is slate.view.contends
    assert limits == {False: 12, True: 3}


async def test_a_visit_that_is_named_by_nothing_is_placed_by_the_token_it_is_given(office: Office) -> None:
    scene = scene_of(await office.begin(make_policy(slate=Slate(default_limit=3))))
    arms = set()
    for _ in range(20):
        slate = await scene.ask()
        again = await scene.ask(make_query(session_token=slate.decision.visit.token))
        assert again.decision.visit.session == slate.decision.visit.session
        assert again.view.contends is slate.view.contends
        arms.add(slate.view.contends)
    assert arms == {True, False}


async def test_answers_of_a_contender_say_so_too_while_the_store_is_away(office: Office) -> None:
    view = (await office.begin(make_policy(slate=Slate(default_limit=3)))).unanswered()
    assert view.contender is not None
    assert (view.store_answers, view.contender.view.store_answers) == (False, False)


async def test_a_contender_without_a_surface_in_force_does_not_run(clock: FixedClock) -> None:
    surfaces = {"default": Scenario(), "home": Scenario(limit=4)}
    office = Office(clock, make_policy(scenarios=surfaces))
    view = await office.begin(make_policy(slate=Slate(default_limit=3)))
    assert view.contender is None
