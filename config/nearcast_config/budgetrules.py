"""Rules of new items' places and of caps, each with its consequence."""

import math
from collections.abc import Iterator

from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem

_MUCH = 0.5
_HOURS_OF_A_WEEK = 168.0


def floor_is_below_the_cap(policy: Policy) -> Iterator[SettingProblem]:
    """One place cannot be kept for new items and from them."""
    newcomers = policy.newcomers
    if newcomers.floor_share > newcomers.cap_share:
        yield SettingProblem(
            "policy.newcomers.floor_share",
            f"must be in [0, {newcomers.cap_share:g}] (newcomers.cap_share), got {newcomers.floor_share:g}: "
            "the same places would be kept for new items and from them",
        )


def newcomers_are_shown_somewhere(policy: Policy) -> Iterator[SettingProblem]:
    """What is never shown stays new for ever."""
    if policy.newcomers.cap_share == 0 and policy.exploration.share == 0:
        yield SettingProblem(
            "policy.newcomers.cap_share",
            "must be above 0 while exploration.share is 0, got 0: no new item would ever be shown beside "
            "others, so none would become known",
        )


def newcomers_leave_the_known_room(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a floor, or a cap, that turns slates over to one side."""
    newcomers, explored = policy.newcomers, policy.exploration.share
    tried = explored + (1 - explored) * newcomers.floor_share
    if newcomers.floor_share and tried > _MUCH:
        yield SettingProblem(
            "policy.newcomers.floor_share",
            f"{newcomers.floor_share:g} with exploration.share {explored:g} gives {tried:.0%} of all places "
            "to trying out: what is known to be good is hardly shown while there are new items",
        )
    if newcomers.cap_share == 0 and explored > 0:
        yield SettingProblem(
            "policy.newcomers.cap_share",
            "0 shows new items in uniform shuffles alone, and only as far as they are among the best "
            f"{policy.exploration.pool_size} by posterior mean (exploration.pool_size)",
        )


def caps_leave_slates_whole(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of caps that one answer can use up, or that make each other useless."""
    caps, limit = policy.caps, policy.slate.default_limit
    if 0 < caps.owner_per_hour < limit:
        yield SettingProblem(
            "policy.caps.owner_per_hour",
            f"{caps.owner_per_hour} is less than one slate holds (slate.default_limit {limit}): a single "
            "answer may use up what an owner has in an hour",
        )
    if 0 < caps.owner_per_hour <= caps.item_per_hour:
        yield SettingProblem(
            "policy.caps.item_per_hour",
            f"{caps.item_per_hour} is not below caps.owner_per_hour ({caps.owner_per_hour}): items with an "
            "owner pause with all others of the owner before they reach it",
        )


def capped_items_can_be_learned(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a cap that holds an item back until nothing of it is learned."""
    cap, half_life_hours = policy.caps.item_per_hour, policy.exposure.half_life_hours
    if not cap:
        return
    most = cap * half_life_hours / math.log(2) if half_life_hours else math.inf
    for name, kind in sorted(policy.kinds.items()):
        if kind.prior_strength > most:
            yield SettingProblem(
                "policy.caps.item_per_hour",
                f"{cap} with exposure.half_life_hours {half_life_hours:g} leaves an item at most {most:.3g} "
                f"impressions of evidence, less than kinds.{name}.prior_strength ({kind.prior_strength:g}): "
                "it keeps its prior rate",
            )
    hours = policy.newcomers.until_exposures / cap
    if policy.newcomers.have_budget and hours > _HOURS_OF_A_WEEK:
        yield SettingProblem(
            "policy.newcomers.until_exposures",
            f"{policy.newcomers.until_exposures} takes an item at least {hours:.3g} hours at "
            f"caps.item_per_hour {cap}: it stays new for more than a week",
        )


BUDGET_RULES = (floor_is_below_the_cap, newcomers_are_shown_somewhere)
BUDGET_WARNINGS = (newcomers_leave_the_known_room, caps_leave_slates_whole, capped_items_can_be_learned)
