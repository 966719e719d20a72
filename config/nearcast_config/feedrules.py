"""Rules between feeds, markets, scenarios and the bandit that picks feeds, each with its consequence."""

from collections.abc import Iterator, Sequence

from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem, shown, unknown_name

_LONG_BURN_IN = 20_000.0


def feeds_are_known(key: str, feeds: Sequence[str], policy: Policy) -> Iterator[SettingProblem]:
    """Who lists feeds lists some that there are, each once."""
    if len(set(feeds)) < len(feeds):
        yield SettingProblem(key, f"must name each feed once, got {list(feeds)}")
    for feed in feeds:
        if feed not in policy.feeds:
            yield SettingProblem(key, f"{shown(feed)} {unknown_name(feed, policy.feeds)}")


def market_feeds_are_known(policy: Policy) -> Iterator[SettingProblem]:
    """A market may only use feeds that there are, each named once."""
    for name, market in sorted(policy.markets.items()):
        yield from feeds_are_known(f"policy.markets.{name}.feeds", market.feeds, policy)


def markets_leave_every_surface_a_feed(policy: Policy) -> Iterator[SettingProblem]:
    """Somebody in the market who opens the surface has to be given something."""
    for name, market in sorted(policy.markets.items()):
        for scenario, surface in sorted(policy.scenarios.items()):
            if market.feeds and surface.feeds and not set(market.feeds) & set(surface.feeds):
                yield SettingProblem(
                    f"policy.markets.{name}.feeds",
                    f"must share a feed with scenarios.{scenario}.feeds ({', '.join(surface.feeds)}), "
                    f"got {', '.join(market.feeds)}: that surface could show nothing there",
                )


def default_feed_is_known(policy: Policy) -> Iterator[SettingProblem]:
    """What a kill switch falls back on has to be there."""
    feed = policy.master.default_feed
    if feed and feed not in policy.feeds:
        yield SettingProblem(
            "policy.master.default_feed", f"{shown(feed)} {unknown_name(feed, policy.feeds)}"
        )


def holdout_name_is_free(policy: Policy) -> Iterator[SettingProblem]:
    """Sessions held out are counted under a name of their own."""
    if policy.master.holdout_share > 0 and HOLDOUT_FEED in policy.feeds:
        yield SettingProblem(
            f"policy.feeds.{HOLDOUT_FEED}",
            "must have another name while master.holdout_share is above 0: answers of those held out "
            "carry this one",
        )


def feeds_can_be_judged(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a burn-in that forgetting may never let end."""
    least, half_life_days = policy.master.min_sessions, policy.master.half_life_days
    if least > _LONG_BURN_IN:
        yield SettingProblem(
            "policy.master.min_sessions",
            f"{least:g} sessions of each feed are much: until then feeds share evenly what the floors leave, "
            f"and with a half-life of {half_life_days:g} days older ones hardly count",
        )


def frozen_keys(policy: Policy) -> list[str]:
    """The kill switches that are on."""
    markets = [f"markets.{name}.frozen" for name, market in sorted(policy.markets.items()) if market.frozen]
    return ["master.frozen", *markets] if policy.master.frozen else markets


def frozen_is_meant(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of what a kill switch stops."""
    for key in frozen_keys(policy):
        yield SettingProblem(
            f"policy.{key}",
            "true draws and explores nothing: every session gets the default feed by posterior mean, and "
            "new items are hardly shown",
        )


FEED_RULES = (
    market_feeds_are_known,
    markets_leave_every_surface_a_feed,
    default_feed_is_known,
    holdout_name_is_free,
)
FEED_WARNINGS = (feeds_can_be_judged, frozen_is_meant)
