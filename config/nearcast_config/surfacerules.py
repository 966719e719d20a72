"""Rules within one surface: what contradicts itself or is probably not meant, each with its consequence."""

from collections import Counter
from collections.abc import Iterator

from nearcast_config.orders.registry import ORDERS
from nearcast_config.policy import Policy, Scenario
from nearcast_config.problems import SettingProblem, shown

_OVERRULING_FACTOR = 10.0
# Beyond so many a distance counts no further.
_MOST_HALVINGS = 40


def boosts_name_one_trait(policy: Policy) -> Iterator[SettingProblem]:
    """A boost that names several, or none, could mean anything."""
    for name, surface in sorted(policy.scenarios.items()):
        for place, boost in enumerate(surface.boosts):
            if len(boost.named) != 1:
                found = " and ".join(boost.named) or "none of them"
                yield SettingProblem(
                    f"policy.scenarios.{name}.boosts[{place}]",
                    f"must name exactly one of category, tag and owner, got {found}: "
                    "which items it is for would be a guess",
                )


def boosts_differ(policy: Policy) -> Iterator[SettingProblem]:
    """The same trait twice is a slip: both factors would be multiplied."""
    for name, surface in sorted(policy.scenarios.items()):
        counted = Counter((trait, value) for boost in surface.boosts for trait, value in boost.named.items())
        for (trait, value), count in counted.items():
            if count > 1:
                yield SettingProblem(
                    f"policy.scenarios.{name}.boosts",
                    f"must name each category, tag and owner once, got {trait} {shown(value)} {count} times: "
                    "its factors would be multiplied",
                )


def seen_is_said_once(policy: Policy) -> Iterator[SettingProblem]:
    """Leaving out and fading exclude each other."""
    for name, surface in sorted(policy.scenarios.items()):
        if surface.exclude_seen and surface.seen == "fade":
            yield SettingProblem(
                f"policy.scenarios.{name}.exclude_seen",
                'must be false while seen is "fade", got true: what is left out cannot fade',
            )


def filters_leave_something(policy: Policy) -> Iterator[SettingProblem]:
    """What is wanted and excluded at once is never shown."""
    for name, surface in sorted(policy.scenarios.items()):
        for wanted, excluded in (
            ("categories", "exclude_categories"),
            ("tags_all", "exclude_tags"),
            ("tags_any", "exclude_tags"),
        ):
            both = sorted(set(getattr(surface, wanted)) & set(getattr(surface, excluded)))
            if both:
                yield SettingProblem(
                    f"policy.scenarios.{name}.{excluded}",
                    f"must share nothing with {wanted}, got {', '.join(map(shown, both))} in both: "
                    "nothing could be shown for it",
                )


def factors_take_effect(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of factors where hardly anything is ordered by what they multiply."""
    for name, surface in sorted(policy.scenarios.items()):
        feeds = surface.feeds or tuple(policy.feeds)
        if _has_factors(surface) and not any(ORDERS[policy.feeds[feed].order].weighs for feed in feeds):
            yield SettingProblem(
                f"policy.scenarios.{name}.feeds",
                "holds no feed that draws: boosts, distance_half_m and seen_fade only move what the "
                "exploration share shuffles",
            )


def boosts_can_apply(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a boost for what the surface does not show."""
    for name, surface in sorted(policy.scenarios.items()):
        for place, boost in enumerate(surface.boosts):
            category_is_out = bool(boost.category) and (
                boost.category in surface.exclude_categories
                or (bool(surface.categories) and boost.category not in surface.categories)
            )
            if category_is_out or boost.tag in surface.exclude_tags:
                yield SettingProblem(
                    f"policy.scenarios.{name}.boosts[{place}]",
                    f"{shown(boost.category or boost.tag)} is filtered out on this surface: it never applies",
                )


def boosts_leave_room(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of factors beside which what was learned hardly counts."""
    for name, surface in sorted(policy.scenarios.items()):
        for place, boost in enumerate(surface.boosts):
            if not 1 / _OVERRULING_FACTOR < boost.factor < _OVERRULING_FACTOR:
                times = max(boost.factor, 1 / boost.factor)
                yield SettingProblem(
                    f"policy.scenarios.{name}.boosts[{place}].factor",
                    f"{boost.factor:g} overrules what was learned: an item comes before another that people "
                    f"choose up to {times:g} times as often",
                )


def distance_leaves_room(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a distance that halves so soon that most of what is near counts as equally far."""
    for name, surface in sorted(policy.scenarios.items()):
        half_m, radius_m = surface.distance_half_m, surface.radius_m or policy.radius.default_m
        if 0 < half_m < radius_m / _MOST_HALVINGS:
            yield SettingProblem(
                f"policy.scenarios.{name}.distance_half_m",
                f"{half_m:g} overrules what was learned: {half_m:g} m more weigh as much as being chosen "
                f"half as often, and beyond {_MOST_HALVINGS * half_m:g} m of {radius_m:g} m all are as far",
            )


def seen_is_remembered(policy: Policy) -> Iterator[SettingProblem]:
    """Warns where what was seen is to matter and does not."""
    for name, surface in sorted(policy.scenarios.items()):
        if surface.seen_way != "show" and policy.seen.most == 0:
            yield SettingProblem(
                f"policy.scenarios.{name}.seen",
                f"{shown(surface.seen_way)} has nothing to go by while seen.most is 0: nothing is remembered",
            )
        if surface.seen_way == "fade" and surface.seen_fade == 1:
            yield SettingProblem(
                f"policy.scenarios.{name}.seen_fade", "1 keeps the whole score: what was seen does not fade"
            )


def _has_factors(surface: Scenario) -> bool:
    return bool(surface.boosts or surface.distance_half_m or surface.seen_way == "fade")


SURFACE_RULES = (boosts_name_one_trait, boosts_differ, seen_is_said_once, filters_leave_something)
SURFACE_WARNINGS = (
    factors_take_effect,
    boosts_can_apply,
    boosts_leave_room,
    distance_leaves_room,
    seen_is_remembered,
)
