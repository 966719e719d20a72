"""How counts become evidence under a policy, everywhere and in markets that forget at another pace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nearcast_bandit.exposure import ExposureRule
from nearcast_config.policy import Policy
from nearcast_ledger.kinds import IMPRESSION, PASSED_OVER

Curve = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exposing:
    """A rule for each kind, in the policy's order; equal ones make the same evidence of the same counts.

    `half_lives` are those of the markets that have one of their own, by number, in hours.
    """

    rules: tuple[ExposureRule, ...]
    cascades: bool = False
    half_lives: Mapping[int, float] = field(default_factory=dict)

    def rules_for(self, half_life_hours: float) -> tuple[ExposureRule, ...]:
        """The same, with that half-life."""
        return tuple(replace(rule, half_life_hours=half_life_hours) for rule in self.rules)

    def sign_of(self, kind: int) -> int:
        """Whether counts of that kind are impressions (1), take some back (-1), or neither (0)."""
        if kind == IMPRESSION:
            return 1
        return -1 if kind == PASSED_OVER and self.cascades else 0


def exposing(
    policy: Policy, curve: Curve | None = None, markets: Mapping[str, int] | None = None
) -> Exposing:
    """What the policy says, with the curve that was fitted last and the numbers of markets."""
    half_lives = {
        number: settings.half_life_hours
        for name, settings in policy.markets.items()
        if settings.half_life_hours is not None
        and settings.half_life_hours != policy.exposure.half_life_hours
        and (number := (markets or {}).get(name))
    }
    return Exposing(exposure_rules(policy, curve), policy.exposure.mode == "cascade", half_lives)


def exposure_rules(policy: Policy, curve: Curve | None = None) -> tuple[ExposureRule, ...]:
    """How impressions become evidence of each kind, in the policy's order."""
    shares = curve_of(policy, curve)
    return tuple(
        ExposureRule(shares, kind.maturity_hours, policy.exposure.half_life_hours)
        for kind in policy.kinds.values()
    )


def curve_of(policy: Policy, fitted: Curve | None = None) -> Curve:
    """The curve in force: what is configured, or what was fitted last, or what stands until then."""
    exposure = policy.exposure
    if exposure.mode != "pbm":
        return ()
    if exposure.position_curve == "fitted":
        return exposure.starting_curve if fitted is None else fitted
    return exposure.position_curve


def markets_apart(kept: Exposing, markets: Iterable[int]) -> dict[float, set[int]]:
    """Of these markets those with a half-life of their own, by that."""
    apart: dict[float, set[int]] = {}
    for market in set(markets) & kept.half_lives.keys():
        apart.setdefault(kept.half_lives[market], set()).add(market)
    return apart
