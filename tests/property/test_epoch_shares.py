"""Whatever was counted where, the shares of every market and surface are a distribution above the floors."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast_config.mastery import Market, Master
from nearcast_config.policy import Policy, Scenario
from nearcast_config.segmentation import Segments
from nearcast_statskeeper.epochs import eligible_sets, next_epoch
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Revision

NOW_S = 1_790_000_000.0
HOUR = int(NOW_S // 3600)
NUMBERS = {"draw": 1, "most_applied": 2, "nearest": 3, "newest": 4, "explore": 5, "holdout": 6}
FEEDS = tuple(Policy().feeds)
SETS = st.sets(st.sampled_from(FEEDS)).map(
    lambda names: (*sorted(names), "draw") if "draw" not in names else ()
)
COUNTS = st.lists(
    st.builds(
        lambda market, feed, age, trials, share, segment: FeedCount(
            market, feed, HOUR - age, trials, int(trials * share), segment
        ),
        st.sampled_from([0, 7, 8]),
        st.integers(1, 6),
        st.integers(0, 2000),
        st.sampled_from([1, 30, 4000, 10**9]),
        st.floats(0, 1),
        st.sampled_from([0, 0, 1, 2, 9]),
    ),
    max_size=8,
)
MASTERS = st.builds(
    Master,
    goal=st.sampled_from(["reward", "identify"]),
    min_sessions=st.sampled_from([0.0, 50.0]),
    by_market=st.booleans(),
    parent_strength=st.sampled_from([0.1, 100.0, 100_000.0]),
    half_life_days=st.sampled_from([0.0, 0.01, 7.0]),
    prior_strength=st.sampled_from([0.1, 10.0]),
)


@settings(max_examples=40, deadline=None)
@given(COUNTS, MASTERS, SETS, SETS)
def test_shares_of_every_market_and_surface(
    counts: list[FeedCount], master: Master, surface: tuple[str, ...], place: tuple[str, ...]
) -> None:
    policy = replace(
        Policy(),
        master=master,
        scenarios={"default": Scenario(), "map": Scenario(feeds=surface)},
        markets={"oslo": Market(feeds=place)},
        segments=Segments(names=("new", "old"), parent_strength=master.parent_strength),
    )
    named = {"new": 1, "old": 2}
    revision = Revision(1, 1, policy, {"impression": 1}, NUMBERS, {"default": 1, "map": 2}, named)
    epoch = next_epoch(None, revision, counts, NOW_S)
    assert set(epoch.shares) == {0, *(count.market for count in counts if master.by_market)}
    assert set(epoch.segments) == {count.segment for count in counts} & {1, 2}
    everybodys = [epoch.shares, *epoch.segments.values()]
    for by_set in (by_set for shares in everybodys for by_set in shares.values()):
        assert list(by_set) == eligible_sets(revision)
        for feeds, shares in by_set.items():
            assert tuple(sorted(shares)) == feeds
            assert math.isclose(math.fsum(shares.values()), 1, abs_tol=1e-9)
            for name, feed in policy.feeds.items():
                if NUMBERS[name] in feeds:
                    assert shares[NUMBERS[name]] >= feed.floor - 1e-12
