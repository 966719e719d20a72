"""How one tenant is read: in parts that survive a failure, and under the last policy that could be read."""

from collections.abc import Sequence

import pytest

from nearcast_config.mastery import Market, MarketKind
from nearcast_config.policy import Exploration, Exposure
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.kinds import APPLY, IMPRESSION
from nearcast_server.following import Following, Regional
from nearcast_store.counting.protocol import Changes, CountRow
from nearcast_store.curves.memory import MemoryCurveStore
from nearcast_store.curves.protocol import CurveFit, Look
from nearcast_store.errors import SchemaError, StoreUnavailableError
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.markets.protocol import Market as OnMap
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.protocol import Revision
from tests.conftest import FixedClock
from tests.geojsons import box
from tests.unit.server.scene import HOUR, TENANT, make_count, make_policy

POSTINGS = range(1, 8)


class Parts:
    """Counts that come three at a time; the read of a part can be made to fail."""

    def __init__(self, rows: Sequence[CountRow]) -> None:
        self.rows = sorted(rows)
        self.fails_at = -1
        self.horizon = 5
        self.asked: list[tuple[int | None, CountRow | None]] = []

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 3
    ) -> Changes:
        self.asked.append((horizon, after))
        if len(self.asked) - 1 == self.fails_at:
            raise StoreUnavailableError("Postgres does not answer")
        left = [row for row in self.rows if after is None or row[:7] > after[:7]]
        self.horizon += 1
        return Changes(left[:3], self.horizon, complete=horizon is None, more=len(left) > 3)


class Newer(MemoryPolicyStore):
    """A policy store whose current policy can become one that only a newer version reads."""

    unreadable = False

    async def current(self, tenant_id: int) -> Revision:
        if self.unreadable:
            raise SchemaError("the policy has keys this version does not know")
        return await super().current(tenant_id)


@pytest.fixture
def policies(clock: FixedClock) -> Newer:
    return Newer(clock, first=make_policy())


def some_rows() -> list[CountRow]:
    return [make_count(posting, kind, 10) for posting in POSTINGS for kind in (IMPRESSION, APPLY)]


def follow(policies: MemoryPolicyStore, counts: Parts, clock: FixedClock) -> Following:
    return Following(TENANT, policies, counts, clock)  # type: ignore[arg-type]


async def test_a_curve_and_the_map_of_markets_are_followed_with_the_policy(
    policies: Newer, clock: FixedClock
) -> None:
    exposure = Exposure(mode="pbm", position_curve="fitted", half_life_hours=0.0)
    settings = Market(half_life_hours=1.0, kinds={"view": MarketKind(prior_mean=0.5)})
    policy = make_policy(exposure=exposure, markets={"oslo": settings}, exploration=Exploration())
    await policies.apply(TENANT, policy, "", "")
    curves, markets = MemoryCurveStore(), MemoryMarketStore()
    shown = make_count(1, IMPRESSION, 100)._replace(market=1, position_bucket=2, bucket=HOUR - 1000)
    regional = Regional(markets, curves=curves, places_people=False)
    counts = Parts([shown])
    following = Following(TENANT, policies, counts, clock, regional)  # type: ignore[arg-type]

    async def exposed() -> float:
        return float((await following.view(None)).evidence.beliefs([1]).exposures.max())

    assert await exposed() == 100
    fit = CurveFit(TENANT, 1, clock(), (1.0, 0.25), ())
    await curves.publish(Look(TENANT, clock(), b""), fit)
    assert await exposed() == 25
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    await markets.upsert(TENANT, [OnMap("oslo", "Oslo", "{}", area)], clock())
    assert await exposed() == pytest.approx(0)
    assert (await following.view(None)).evidence.priors.differ


async def test_counts_that_come_in_parts_are_all_learned(policies: Newer, clock: FixedClock) -> None:
    counts = Parts(some_rows())
    view = await follow(policies, counts, clock).view(None)
    assert len(counts.asked) == 5
    assert (view.evidence.beliefs(list(POSTINGS)).successes > 0).any(axis=0).all()


async def test_a_look_begins_where_the_first_part_of_the_last_one_began(
    policies: Newer, clock: FixedClock
) -> None:
    counts = Parts(some_rows())
    following = follow(policies, counts, clock)
    await following.view(None)
    await following.view(None)
    assert counts.asked[5] == (6, None)


async def test_after_a_failure_the_next_read_goes_on_from_the_last_part(
    policies: Newer, clock: FixedClock
) -> None:
    counts = Parts(some_rows())
    counts.fails_at = 2
    following = follow(policies, counts, clock)
    with pytest.raises(StoreUnavailableError):
        await following.view(None)
    view = await following.view(None)
    assert counts.asked[3] == counts.asked[2] != (None, None)
    assert len(counts.asked) == 6
    assert (view.evidence.beliefs(list(POSTINGS)).successes > 0).any(axis=0).all()


async def test_a_policy_that_cannot_be_read_leaves_the_last_one_in_force(
    policies: Newer, clock: FixedClock
) -> None:
    following = follow(policies, Parts([]), clock)
    before = await following.view(None)
    policies.unreadable = True
    assert (await following.view(None)).revision == before.revision


async def test_a_policy_that_never_could_be_read_is_an_error(policies: Newer, clock: FixedClock) -> None:
    policies.unreadable = True
    with pytest.raises(SchemaError):
        await follow(policies, Parts([]), clock).view(None)
