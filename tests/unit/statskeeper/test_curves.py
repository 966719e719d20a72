"""The keeper's curve: from the exploration share alone, as the policy asks, or with a reason."""

import random
from dataclasses import replace

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from nearcast_bandit.curvefitting import PlaceShare
from nearcast_config.policy import Exposure, Policy
from nearcast_ledger.kinds import APPLY, IMPRESSION, VIEW
from nearcast_statskeeper.curves import is_due, shares_of
from nearcast_statskeeper.jobs.curving import CurveFitter, fit_curves
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch
from nearcast_store.curves.memory import MemoryCurveStore
from nearcast_store.curves.protocol import CurveFit
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from tests.conformance.ledger_rows import claims, learned, uuid7
from tests.conftest import FixedClock

TENANT = 1
TRUE = (1.0, 0.6, 0.4, 0.25)
FITTED = msgspec.structs.replace(
    Policy(), exposure=Exposure(mode="pbm", position_curve="fitted", starting_curve=(1.0, 0.9))
)


class Shop:
    """A keeper's job over stores in memory."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.policies = MemoryPolicyStore(clock, first=FITTED)
        self.tenants = MemoryTenantStore(clock)
        self.counts = MemoryCountStore()
        self.curves = MemoryCurveStore()
        self.leads = True
        metrics = Metrics(CollectorRegistry(), KEEPER_METRICS)
        fitter = CurveFitter(self.policies, self.counts, self.curves, metrics, clock, self._leads)
        self._job = fit_curves(fitter, Roster(self.tenants, self.policies, clock))

    async def run(self) -> dict[str, object]:
        return await self._job.run()

    async def _leads(self) -> bool:
        return self.leads

    async def show(self, slates: int, rates: tuple[float, ...], *, explore: bool, seed: int = 1) -> None:
        """Answers of an hour ago, of which each place has successes at a rate."""
        rng, rows = random.Random(seed), []
        for _ in range(slates):
            request_id = uuid7(rng, int((self.clock() - 3600) * 1000))
            for position, rate in enumerate(rates, start=1):
                said = claims(request_id, posting=position * 7 % 5 + 1, position=position, explore=explore)
                rows.append(learned(IMPRESSION, said))
                if rng.random() < rate:
                    rows.append(learned(rng.choice((VIEW, APPLY)), said))
        await self.counts.fold(Batch(rows))

    async def curve(self) -> CurveFit:
        fit = await self.curves.latest(TENANT)
        assert fit is not None
        return fit


@pytest.fixture
async def shop(clock: FixedClock) -> Shop:
    shop = Shop(clock)
    await shop.tenants.ensure_tenant("one", "")
    return shop


async def test_the_curve_of_the_shuffled_answers_is_published(shop: Shop) -> None:
    """With 2,000 slates a share of 0.25 has a standard error of about 0.014; asked for is four times that."""
    await shop.show(2000, tuple(0.5 * share for share in TRUE), explore=True)
    assert await shop.run() == {"fitted": 1}
    fit = await shop.curve()
    assert (fit.number, fit.fitted_at) == (1, shop.clock())
    assert fit.shares == pytest.approx(TRUE, abs=0.06)
    assert fit.shares[0] == 1.0
    assert [each.impressions for each in fit.places] == [2000] * 4


async def test_answers_that_were_not_shuffled_do_not_move_the_curve(shop: Shop) -> None:
    """Where the better items stand at the top, success falls faster than attention."""
    await shop.show(1000, tuple(0.4 * share for share in TRUE), explore=True)
    await shop.run()
    before = await shop.curve()
    await shop.show(4000, (0.9, 0.1, 0.01, 0.0), explore=False, seed=2)
    shop.clock.now_s += 25 * 3600
    assert await shop.run() == {"fitted": 1}
    after = await shop.curve()
    assert (after.number, after.shares, after.places) == (2, before.shares, before.places)


async def test_too_little_leaves_what_stands_and_says_why(shop: Shop) -> None:
    await shop.show(100, (0.5, 0.5), explore=True)
    await shop.show(4000, (0.9, 0.1), explore=False, seed=2)
    assert await shop.run() == {}
    look = await shop.curves.look(TENANT)
    assert look is not None
    assert "position 1 has" in look.reason
    assert "of the 200 that are needed, counted in the 0.02 of all requests that explore" in look.reason
    assert await shop.curves.latest(TENANT) is None
    _, kept = await Standpoint(shop.policies, shop.curves).take(TENANT)
    assert kept.rules[0].position_curve == (1.0, 0.9)


async def test_what_was_fitted_is_what_evidence_is_derived_by(shop: Shop) -> None:
    await shop.show(1000, (0.8, 0.4), explore=True)
    await shop.run()
    _, kept = await Standpoint(shop.policies, shop.curves).take(TENANT)
    assert kept.rules[0].position_curve == (await shop.curve()).shares


async def test_a_curve_is_fitted_again_when_it_is_old_or_rests_on_other_settings(shop: Shop) -> None:
    await shop.show(1000, (0.8, 0.4), explore=True)
    await shop.run()
    revision, look = await shop.policies.current(TENANT), await shop.curves.look(TENANT)
    assert look is not None
    now = look.looked_at
    assert not is_due(look, revision, now + 23 * 3600)
    assert is_due(look, revision, now + 24 * 3600)
    assert is_due(look, revision, now - 60)
    assert is_due(replace(look, reason="too little"), revision, now + 3 * 3600)
    assert not is_due(replace(look, reason="too little"), revision, now + 2 * 3600)
    exposure = msgspec.structs.replace(FITTED.exposure, curve_evidence=30)
    other = await shop.policies.apply(TENANT, msgspec.structs.replace(FITTED, exposure=exposure), "", "")
    assert is_due(look, other, now)


@pytest.mark.parametrize("exposure", [Exposure(), Exposure(mode="pbm", position_curve=(1.0, 0.5))])
async def test_nothing_is_fitted_that_nobody_asked_for(shop: Shop, exposure: Exposure) -> None:
    await shop.policies.apply(TENANT, msgspec.structs.replace(FITTED, exposure=exposure), "", "")
    await shop.show(1000, (0.8, 0.4), explore=True)
    assert await shop.run() == {}
    assert await shop.curves.look(TENANT) is None


async def test_who_lost_the_lead_publishes_nothing(shop: Shop) -> None:
    await shop.show(1000, (0.8, 0.4), explore=True)
    shop.leads = False
    assert await shop.run() == {}
    assert await shop.curves.look(TENANT) is None


async def test_a_tenant_that_cannot_be_fitted_stops_no_other(shop: Shop) -> None:
    other = await shop.tenants.ensure_tenant("other", "")
    await shop.show(1000, (0.8, 0.4), explore=True)

    async def shuffled(tenant_id: int, *_: object) -> list[object]:
        if tenant_id == TENANT:
            raise ValueError("whatever")
        return []

    shop.counts.shuffled = shuffled  # type: ignore[assignment,method-assign]
    assert await shop.run() == {}
    assert await shop.curves.look(TENANT) is None
    assert await shop.curves.look(other) is not None


def test_positions_that_are_counted_together_share_a_share() -> None:
    places = [PlaceShare(1, 1, 1, 1.0), PlaceShare(3, 1, 1, 0.5), PlaceShare(25, 1, 1, 0.2)]
    shares = shares_of(places)
    assert shares[:3] == (1.0, 1.0, 0.5)
    assert set(shares[3:20]) == {0.5}
    assert shares[20:] == (0.2,) * 10
