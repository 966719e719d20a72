"""Rules between settings: what no single range can say, each with the consequence of breaking it."""

from collections.abc import Iterator
from itertools import pairwise

from nearcast_config.arrangementrules import ARRANGEMENT_RULES, ARRANGEMENT_WARNINGS
from nearcast_config.budgetrules import BUDGET_RULES, BUDGET_WARNINGS
from nearcast_config.exposurerules import EXPOSURE_RULES, EXPOSURE_WARNINGS
from nearcast_config.feedrules import FEED_RULES, FEED_WARNINGS, feeds_are_known
from nearcast_config.maskrules import MASK_RULES, MASK_WARNINGS
from nearcast_config.orders.registry import ORDERS
from nearcast_config.policy import EXPLORE_FEED, Policy
from nearcast_config.priorrules import PRIOR_RULES, PRIOR_WARNINGS
from nearcast_config.problems import SettingProblem, shown, unknown_name
from nearcast_config.process import ProcessConfig
from nearcast_config.processrules import PROCESS_RULES
from nearcast_config.surfacerules import SURFACE_RULES, SURFACE_WARNINGS


def process_problems(process: ProcessConfig) -> tuple[SettingProblem, ...]:
    """What is contradictory in the settings of a process."""
    return tuple(problem for rule in PROCESS_RULES for problem in rule(process))


def policy_problems(policy: Policy) -> tuple[SettingProblem, ...]:
    """What is impossible or contradictory in a policy."""
    return tuple(problem for rule in _POLICY_RULES for problem in rule(policy))


def policy_warnings(policy: Policy) -> tuple[SettingProblem, ...]:
    """What is allowed in a policy and probably not meant."""
    return tuple(problem for rule in _POLICY_WARNINGS for problem in rule(policy))


def _default_radius_is_allowed(policy: Policy) -> Iterator[SettingProblem]:
    radius = policy.radius
    if radius.default_m > radius.max_m:
        yield SettingProblem(
            "policy.radius.default_m",
            f"must be at most radius.max_m ({radius.max_m} metres), got {radius.default_m}: "
            "every query without a radius would be refused",
        )


def _widening_rises(policy: Policy) -> Iterator[SettingProblem]:
    factors = policy.radius.widen_factors
    if any(later <= earlier for earlier, later in pairwise(factors)):
        yield SettingProblem(
            "policy.radius.widen_factors",
            f"must rise from one to the next, got {list(factors)}: a smaller circle finds nothing more",
        )


def _default_limit_is_allowed(policy: Policy) -> Iterator[SettingProblem]:
    slate = policy.slate
    if slate.default_limit > slate.max_limit:
        yield SettingProblem(
            "policy.slate.default_limit",
            f"must be at most slate.max_limit ({slate.max_limit}), got {slate.default_limit}: "
            "queries without a limit would get fewer items than it says",
        )


def _impression_has_no_settings(policy: Policy) -> Iterator[SettingProblem]:
    if "impression" in policy.kinds:
        yield SettingProblem(
            "policy.kinds.impression",
            "must be left out: impressions are what rates are measured by, and always there",
        )


def _weighed_feeds_have_a_goal(policy: Policy) -> Iterator[SettingProblem]:
    weighing = {name for name, order in ORDERS.items() if order.weighs}
    feeds = sorted(name for name, feed in policy.feeds.items() if feed.order in weighing)
    if feeds and not any(kind.weight > 0 for kind in policy.kinds.values()):
        yield SettingProblem(
            "policy.kinds",
            f"must hold a kind with a weight above 0, as feed {feeds[0]} goes by weighted kinds: "
            "all items would score the same",
        )


def _curve_is_there_for_pbm(policy: Policy) -> Iterator[SettingProblem]:
    if policy.exposure.mode == "pbm" and not policy.exposure.position_curve:
        yield SettingProblem(
            "policy.exposure.position_curve",
            "must have at least one value when exposure.mode is pbm, got none: "
            "impressions could not be weighted by position",
        )


def _floors_leave_room(policy: Policy) -> Iterator[SettingProblem]:
    total = sum(feed.floor for feed in policy.feeds.values())
    if total >= 1:
        parts = ", ".join(f"{name} {feed.floor:g}" for name, feed in sorted(policy.feeds.items()))
        yield SettingProblem(
            "policy.feeds",
            f"must have floors with a sum below 1, got {total:g} ({parts}): "
            "nothing would be left to give to the better feeds",
        )


def _feed_names_are_free(policy: Policy) -> Iterator[SettingProblem]:
    if EXPLORE_FEED in policy.feeds:
        yield SettingProblem(
            f"policy.feeds.{EXPLORE_FEED}",
            "must have another name: answers of the exploration share carry this one",
        )


def _feed_orders_are_known(policy: Policy) -> Iterator[SettingProblem]:
    for name, feed in sorted(policy.feeds.items()):
        if feed.order not in ORDERS:
            yield SettingProblem(
                f"policy.feeds.{name}.order",
                f"must be one of {', '.join(ORDERS)}: {shown(feed.order)} {unknown_name(feed.order, ORDERS)}",
            )


def _feed_kinds_fit(policy: Policy) -> Iterator[SettingProblem]:
    naming = [name for name, order in ORDERS.items() if order.names_kind]
    needed = " or ".join(f'"{name}"' for name in naming)
    for name, feed in sorted(policy.feeds.items()):
        key = f"policy.feeds.{name}.kind"
        if feed.order not in naming and feed.kind:
            yield SettingProblem(
                key, f"must be empty unless order is {needed}, got {shown(feed.kind)}: it would be ignored"
            )
        elif feed.order in naming and not feed.kind:
            yield SettingProblem(
                key, f"must name a kind when order is {needed}: one of {', '.join(sorted(policy.kinds))}"
            )
        elif feed.order in naming and feed.kind not in policy.kinds:
            yield SettingProblem(key, f"{shown(feed.kind)} {unknown_name(feed.kind, policy.kinds)}")


def _scenarios_use_known_feeds(policy: Policy) -> Iterator[SettingProblem]:
    for name, scenario in sorted(policy.scenarios.items()):
        yield from feeds_are_known(f"policy.scenarios.{name}.feeds", scenario.feeds, policy)


def _scenario_defaults_are_allowed(policy: Policy) -> Iterator[SettingProblem]:
    for name, scenario in sorted(policy.scenarios.items()):
        radius_m, limit = scenario.radius_m, scenario.limit
        if radius_m is not None and not 0 < radius_m <= policy.radius.max_m:
            yield SettingProblem(
                f"policy.scenarios.{name}.radius_m",
                f"must be in (0, {policy.radius.max_m}] metres (radius.max_m), got {shown(radius_m)}",
            )
        if limit is not None and not 1 <= limit <= policy.slate.max_limit:
            yield SettingProblem(
                f"policy.scenarios.{name}.limit",
                f"must be in [1, {policy.slate.max_limit}] (slate.max_limit), got {shown(limit)}",
            )


def _window_catches_the_kinds(policy: Policy) -> Iterator[SettingProblem]:
    window_hours = policy.attribution.window_hours
    for name, kind in sorted(policy.kinds.items()):
        if kind.maturity_hours > window_hours:
            yield SettingProblem(
                "policy.attribution.window_hours",
                f"{window_hours} is shorter than kinds.{name}.maturity_hours "
                f"({kind.maturity_hours}): most such events come too late to be learned from",
            )


def _something_is_explored(policy: Policy) -> Iterator[SettingProblem]:
    if policy.exploration.share == 0:
        yield SettingProblem(
            "policy.exploration.share",
            "0 shows no uniform shuffles: position curves and changes of policy cannot be judged from "
            "what was recorded",
        )


_POLICY_RULES = (
    _default_radius_is_allowed,
    _widening_rises,
    _default_limit_is_allowed,
    _impression_has_no_settings,
    _weighed_feeds_have_a_goal,
    _curve_is_there_for_pbm,
    _floors_leave_room,
    _feed_names_are_free,
    _feed_orders_are_known,
    _feed_kinds_fit,
    _scenarios_use_known_feeds,
    _scenario_defaults_are_allowed,
    *PRIOR_RULES,
    *FEED_RULES,
    *SURFACE_RULES,
    *BUDGET_RULES,
    *ARRANGEMENT_RULES,
    *MASK_RULES,
    *EXPOSURE_RULES,
)

_POLICY_WARNINGS = (
    *PRIOR_WARNINGS,
    _window_catches_the_kinds,
    _something_is_explored,
    *FEED_WARNINGS,
    *SURFACE_WARNINGS,
    *BUDGET_WARNINGS,
    *ARRANGEMENT_WARNINGS,
    *MASK_WARNINGS,
    *EXPOSURE_WARNINGS,
)
