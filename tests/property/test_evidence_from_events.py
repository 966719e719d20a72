"""Evidence derived from the counts is what single events give, under any policy and in any order."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_config.mastery import Market
from nearcast_config.policy import Exposure, Kind, Policy
from nearcast_ledger.event import Unlearned
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW, position_bucket
from nearcast_server.evidence import Learner
from nearcast_statskeeper.priors import seen_in
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import exposing
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch, CountRow, LedgerRow
from nearcast_store.policies.protocol import Revision
from tests.conformance.ledger_rows import HOUR_MS, MIDNIGHT_MS, claims, learned, uuid7

FIRST_HOUR = MIDNIGHT_MS // HOUR_MS
POSTINGS = range(1, 7)
NUMBERS = {"apply": APPLY, "save": SAVE, "view": VIEW}
MARKETS = {"oslo": 1, "bergen": 2, "nowhere": 9}
LEFT_AT = (SAVE, APPLY)

exposures_set = st.one_of(
    st.builds(Exposure, half_life_hours=st.sampled_from([0.0, 5.0, 720.0])),
    st.builds(
        Exposure,
        mode=st.just("pbm"),
        position_curve=st.sampled_from([(1.0, 0.6, 0.3), (0.5,)]),
        half_life_hours=st.sampled_from([0.0, 30.0]),
    ),
    st.builds(
        Exposure,
        mode=st.just("cascade"),
        stops_at=st.just(("save", "apply")),
        half_life_hours=st.sampled_from([0.0, 30.0]),
    ),
)
half_lives = st.sampled_from([None, 0.0, 2.0, 100.0])
policies = st.builds(
    lambda exposure, delays, oslo, bergen: Policy(
        exposure=exposure,
        kinds={
            name: Kind(weight=1.0, maturity_hours=delay)
            for name, delay in zip(sorted(NUMBERS), delays, strict=True)
        },
        markets={
            "oslo": Market(half_life_hours=oslo),
            "bergen": Market(half_life_hours=bergen),
            "nowhere": Market(half_life_hours=oslo),
        },
    ),
    exposures_set,
    st.tuples(*[st.sampled_from([0.0, 0.5, 6.0])] * 3),
    half_lives,
    half_lives,
)


def some_events(rng: random.Random, policy: Policy) -> list[LedgerRow]:
    """Answers in several markets; some are such that people read them from the top."""
    rows = []
    for _ in range(rng.randrange(1, 40)):
        at_ms = MIDNIGHT_MS + rng.randrange(200) * HOUR_MS + rng.randrange(HOUR_MS)
        request_id, market = uuid7(rng, at_ms), rng.randrange(3)
        cascades = policy.exposure.mode == "cascade" and rng.random() < 0.8
        for position, posting in enumerate(rng.sample(POSTINGS, k=rng.randrange(1, 6)), start=1):
            place = position * rng.choice((1, 1, 6))
            said = claims(request_id, posting=posting, position=place, market=market)
            kinds = [IMPRESSION, *(kind for kind in NUMBERS.values() if rng.random() < 0.15)]
            rows += [
                msgspec.structs.replace(
                    learned(kind, said), cascades=cascades and kind in (IMPRESSION, *LEFT_AT)
                )
                for kind in kinds
            ]
    late = [
        msgspec.structs.replace(
            row,
            event=msgspec.structs.replace(row.event, unlearned=Unlearned.TOKEN_EXPIRED),
            cascades=False,
        )
        for row in rows
        if rng.random() < 0.2
    ]
    rows += [*late, *rng.choices(rows, k=5)]
    rng.shuffle(rows)
    return rows


async def counted(rng: random.Random, rows: Sequence[LedgerRow]) -> Sequence[CountRow]:
    store, left = MemoryCountStore(), list(rows)
    while left:
        size = rng.choice((1, 3, 50))
        await store.fold(Batch(left[:size]))
        left = left[size:]
    return (await store.changed_since(1, None)).rows


def mean_left(rate: float, hour: int, now_hours: float) -> float:
    """Of exp(-rate * age), over the part of an hour that has passed."""
    youngest, oldest = max(now_hours - hour - 1, 0.0), max(now_hours - hour, 0.0)
    if math.isinf(rate):
        return 0.0
    spread = rate * (oldest - youngest)
    if not spread:
        return math.exp(-rate * youngest)
    return math.exp(-rate * youngest) * -math.expm1(-spread) / spread


def looked_at(
    policy: Policy, rows: Sequence[LedgerRow], now_hours: float
) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """E and S by kind and posting, event by event."""
    events = {row.identity: row for row in rows if not row.event.unlearned}.values()
    stops = defaultdict(list)
    for row in events:
        if row.cascades and row.event.kind != IMPRESSION and row.event.claims:
            stops[row.event.claims.request_id].append(row.event.claims.position)
    exposed: defaultdict[tuple[str, int], float] = defaultdict(float)
    succeeded: defaultdict[tuple[str, int], float] = defaultdict(float)
    by_number = {number: settings for name, number in MARKETS.items() for settings in [policy.markets[name]]}
    curve = policy.exposure.position_curve or (1.0,)
    assert not isinstance(curve, str)
    for row in events:
        said = row.event.claims
        assert said is not None
        market = by_number.get(said.market)
        half_life = policy.exposure.half_life_hours
        if market is not None and market.half_life_hours is not None:
            half_life = market.half_life_hours
        decay = math.log(2) / half_life if half_life else 0.0
        hour = (said.request_id.int >> 80) // HOUR_MS
        passed = row.cascades and said.position > max(stops[said.request_id], default=said.position)
        share = curve[min(position_bucket(said.position), len(curve)) - 1]
        for name, kind in policy.kinds.items():
            kept = mean_left(decay, hour, now_hours)
            unripe = mean_left(
                decay + (1 / kind.maturity_hours if kind.maturity_hours else math.inf), hour, now_hours
            )
            if row.event.kind == IMPRESSION and not passed:
                exposed[name, said.posting] += share * (kept - unripe)
            elif row.event.kind == NUMBERS[name]:
                succeeded[name, said.posting] += kept
    return exposed, succeeded


@given(policies, st.integers(0, 10**6), st.floats(0, 60))
@settings(max_examples=150, deadline=None, derandomize=True)
async def test_counts_come_to_what_single_events_come_to(policy: Policy, seed: int, later: float) -> None:
    rng = random.Random(seed)
    rows, now_hours = some_events(rng, policy), FIRST_HOUR + 200 + later
    revision = Revision(1, 1, policy, NUMBERS, {}, {})
    counts = await counted(rng, rows)
    learner = Learner()
    learner.follow(revision, now_hours * 3600, None, MARKETS)
    learner.learn(counts)
    found = learner.evidence(now_hours * 3600).beliefs(list(POSTINGS))
    fitted = seen_in(CountColumns.of(counts), revision, exposing(policy, None, MARKETS), now_hours * 3600)
    exposed, succeeded = looked_at(policy, rows, now_hours)
    for row, name in enumerate(found.kinds):
        for values, said in ((found.exposures, exposed), (found.successes, succeeded)):
            wanted = [said[name, posting] for posting in POSTINGS]
            np.testing.assert_allclose(values[row], wanted, rtol=1e-9, atol=1e-9)
        for values, said in ((fitted.exposures, exposed), (fitted.successes, succeeded)):
            wanted = [said[name, posting] for posting in fitted.postings.tolist()]
            np.testing.assert_allclose(values[row], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", ["seen", "cascade"])
async def test_a_policy_that_does_not_cascade_takes_nothing_back(mode: str) -> None:
    """Counts of what was passed over stay, and are used as soon as the policy asks for them."""
    rng = random.Random(1)
    request_id = uuid7(rng, MIDNIGHT_MS)
    rows = []
    for position in (1, 2, 3):
        said = claims(request_id, posting=position, position=position)
        rows.append(msgspec.structs.replace(learned(IMPRESSION, said), cascades=True))
        if position == 1:
            rows.append(msgspec.structs.replace(learned(APPLY, said), cascades=True))
    counts = await counted(rng, rows)
    policy = Policy(
        exposure=Exposure(mode=mode, half_life_hours=0.0),  # type: ignore[arg-type]
        kinds={"apply": Kind(weight=1.0)},
    )
    learner = Learner()
    learner.follow(Revision(1, 1, policy, NUMBERS, {}, {}), (FIRST_HOUR + 2) * 3600.0)
    learner.learn(counts)
    exposed = learner.evidence((FIRST_HOUR + 2) * 3600.0).beliefs([1, 2, 3]).exposures[0]
    assert exposed.tolist() == ([1, 0, 0] if mode == "cascade" else [1, 1, 1])
