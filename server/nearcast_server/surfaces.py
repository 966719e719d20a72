"""What surfaces ask beyond their queries: filters of their own, and what scores are multiplied with."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from nearcast_bandit.factors import Boost, Factors
from nearcast_catalogue.eligibility import Filter
from nearcast_config.orders.registry import ORDERS
from nearcast_config.policy import Feed, Scenario


class Surface(Struct, frozen=True):
    """Of one scenario that asks for more than its query does; None for what it does not ask for."""

    filter: Filter | None
    factors: Factors | None
    seen_share: float

    def factors_beside(self, faded: frozenset[int]) -> Factors | None:
        """Those of a person who has seen these postings, where that makes them fade."""
        if not faded:
            return self.factors
        return replace(self.factors or _NO_FACTORS, seen_share=self.seen_share, faded=faded)


_NO_FACTORS, _NO_FILTER = Factors(), Filter()


def surfaces_of(scenarios: Mapping[str, Scenario]) -> dict[str, Surface]:
    """By name, only those that ask for something."""
    found = {name: _surface(scenario) for name, scenario in scenarios.items()}
    return {name: each for name, each in found.items() if each is not None}


def is_multiplied(feed: Feed) -> bool:
    """Whether factors are for the scores of this feed: not where it orders by what anybody can look up."""
    return ORDERS[feed.order].weighs


def _surface(scenario: Scenario) -> Surface | None:
    asks = Filter(
        tags_any=frozenset(scenario.tags_any),
        tags_all=frozenset(scenario.tags_all),
        tags_none=frozenset(scenario.exclude_tags),
        categories=frozenset(scenario.categories),
        exclude_item_ids=frozenset(scenario.exclude_item_ids),
        categories_none=frozenset(scenario.exclude_categories),
    )
    boosts = tuple(
        Boost(trait, name, boost.factor) for boost in scenario.boosts for trait, name in boost.named.items()
    )
    factors = Factors(boosts, scenario.distance_half_m)
    surface = Surface(
        None if asks == _NO_FILTER else asks,
        None if factors == _NO_FACTORS else factors,
        scenario.seen_fade,
    )
    is_plain = surface.filter is None and surface.factors is None and scenario.seen_way != "fade"
    return None if is_plain else surface
