"""Rules of feeds with conditions, and of segments, each with its consequence."""

from collections.abc import Iterator

from nearcast_config.masking import feed_sets, is_conditional
from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem

_DROWNING_STRENGTH = 5000.0
_MANY_SETS = 64


def needs_are_named_once(policy: Policy) -> Iterator[SettingProblem]:
    """A list with the same word twice is a slip."""
    for name, feed in sorted(policy.feeds.items()):
        if len(set(feed.needs)) < len(feed.needs):
            yield SettingProblem(
                f"policy.feeds.{name}.needs", f"must name each need once, got {', '.join(feed.needs)}"
            )


def everybody_is_left_a_feed(policy: Policy) -> Iterator[SettingProblem]:
    """Whoever asks, from wherever, a feed without conditions must be there."""
    conditional = {name for name, feed in policy.feeds.items() if is_conditional(feed)}
    if not conditional:
        return
    everything = tuple(policy.feeds)
    for scenario, surface in sorted(policy.scenarios.items()):
        for market, place in (("", everything), *((m, p.feeds) for m, p in sorted(policy.markets.items()))):
            feeds = set(surface.feeds or everything) & set(place or everything)
            if feeds and feeds <= conditional:
                where = f" in market {market}" if market else ""
                yield SettingProblem(
                    f"policy.scenarios.{scenario}.feeds",
                    "must hold a feed without needs and min_candidates, got "
                    f"{', '.join(sorted(feeds))}{where}: some requests could be given no feed at all",
                )
                break


def segments_are_named_once(policy: Policy) -> Iterator[SettingProblem]:
    """A segment is one group of people."""
    names = policy.segments.names
    if len(set(names)) < len(names):
        yield SettingProblem("policy.segments.names", f"must name each segment once, got {', '.join(names)}")


def segments_can_differ(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of segments that hardly leave their market."""
    strength = policy.segments.parent_strength
    if policy.segments.names and strength >= _DROWNING_STRENGTH:
        yield SettingProblem(
            "policy.segments.parent_strength",
            f"{strength:g} drowns the evidence: a segment has the shares of its market until it has had "
            "about that many sessions of a feed",
        )


def conditions_are_few(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of more sets of feeds than a keeper works out in passing."""
    count = len(feed_sets(policy))
    if count > _MANY_SETS and any(is_conditional(feed) for feed in policy.feeds.values()):
        yield SettingProblem(
            "policy.feeds",
            f"needs and min_candidates leave {count} different sets of feeds, and every epoch works out the "
            "shares of each in every market and segment: give feeds the same conditions",
        )


MASK_RULES = (needs_are_named_once, everybody_is_left_a_feed, segments_are_named_once)
MASK_WARNINGS = (segments_can_differ, conditions_are_few)
