"""Rules of how impressions become evidence, in all and in single markets, each with its consequence."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem, shown, unknown_name

_CURVE = "policy.exposure.position_curve"
_STOPS = "policy.exposure.stops_at"
_DROWNING_STRENGTH = 5000.0


def fitted_curves_have_something_to_fit(policy: Policy) -> Iterator[SettingProblem]:
    """Only a uniform shuffle tells what is looked at from what is good."""
    exposure = policy.exposure
    if exposure.position_curve != "fitted":
        if exposure.starting_curve:
            yield SettingProblem(
                "policy.exposure.starting_curve",
                'must be left out unless exposure.position_curve is "fitted": nothing would replace it',
            )
        return
    if exposure.mode != "pbm":
        yield SettingProblem(
            _CURVE, f'needs exposure.mode "pbm", got "fitted" with "{exposure.mode}": no curve is used there'
        )
    if policy.exploration.share == 0:
        yield SettingProblem(
            _CURVE,
            'needs exploration.share above 0, got "fitted" with 0: there is nothing to fit from, as '
            "elsewhere the better items stand at the top",
        )
    if not _weighted(policy):
        yield SettingProblem(
            _CURVE, 'needs a kind with a weight above 0, got "fitted" with none: no success would be counted'
        )


def cascades_can_be_followed(policy: Policy) -> Iterator[SettingProblem]:
    """What people leave at has to be known, and is of no use elsewhere."""
    exposure = policy.exposure
    if exposure.mode != "cascade":
        if exposure.stops_at:
            yield SettingProblem(
                _STOPS, f'must be left out unless exposure.mode is "cascade", got it with "{exposure.mode}"'
            )
        return
    if exposure.position_curve:
        yield SettingProblem(
            _CURVE,
            'must be left out while exposure.mode is "cascade": what was read counts in full there, wherever '
            "it stood",
        )
    if not exposure.stops_at and not _weighted(policy):
        yield SettingProblem(
            _STOPS,
            'must name a kind while exposure.mode is "cascade" and none has a weight: nobody would leave',
        )


def stops_are_known(policy: Policy) -> Iterator[SettingProblem]:
    """Kinds, each named once."""
    stops = policy.exposure.stops_at
    if len(set(stops)) < len(stops):
        yield SettingProblem(_STOPS, f"must name each kind once, got {list(stops)}")
    for name in stops:
        if name not in policy.kinds:
            yield SettingProblem(_STOPS, f"{shown(name)} {unknown_name(name, policy.kinds)}")


def market_kinds_are_known(policy: Policy) -> Iterator[SettingProblem]:
    """A market can only believe something of kinds that there are."""
    for market, settings in sorted(policy.markets.items()):
        for name in sorted(settings.kinds):
            if name not in policy.kinds:
                yield SettingProblem(
                    f"policy.markets.{market}.kinds.{name}", unknown_name(name, policy.kinds)
                )


def curves_fall(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a curve by which a lower position is looked at more."""
    exposure = policy.exposure
    for name in ("position_curve", "starting_curve"):
        curve = getattr(exposure, name)
        rises = [
            place for place, (one, two) in enumerate(pairwise(curve), 1) if curve != "fitted" and two > one
        ]
        if rises:
            place = rises[0]
            yield SettingProblem(
                f"policy.exposure.{name}",
                f"rises from {curve[place - 1]:g} at position {place} to {curve[place]:g} at {place + 1}: "
                "items there would need more successes than those above them for the same rate",
            )


def market_evidence_can_come_in(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of markets that forget sooner than successes come, or whose priors drown them."""
    for market, settings in sorted(policy.markets.items()):
        half_life_hours = settings.half_life_hours
        for name, kind in sorted(policy.kinds.items()):
            if half_life_hours is not None and 0 < half_life_hours < kind.maturity_hours:
                yield SettingProblem(
                    f"policy.markets.{market}.half_life_hours",
                    f"{half_life_hours} is shorter than kinds.{name}.maturity_hours "
                    f"({kind.maturity_hours}): evidence fades before it has come in",
                )
        for name, belief in sorted(settings.kinds.items()):
            if (belief.prior_strength or 0.0) >= _DROWNING_STRENGTH:
                yield SettingProblem(
                    f"policy.markets.{market}.kinds.{name}.prior_strength",
                    f"{belief.prior_strength} drowns the evidence: an item there keeps its prior rate until "
                    "it has been seen about that often",
                )


def evidence_outlasts_its_hour(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of forgetting that leaves next to nothing, however often an item is shown."""
    places = [("policy.exposure.half_life_hours", policy.exposure.half_life_hours)]
    for market, settings in sorted(policy.markets.items()):
        places.append((f"policy.markets.{market}.half_life_hours", settings.half_life_hours or 0.0))
    for key, half_life_hours in places:
        if 0 < half_life_hours < 1:
            yield SettingProblem(
                key,
                f"{half_life_hours:g} is less than an hour: an item that is seen n times an hour never "
                f"holds more evidence than {half_life_hours / math.log(2):.2g} n impressions, which is "
                "little beside its prior",
            )


def thin_evidence(policy: Policy, shown_per_hour: Mapping[str, float]) -> Iterator[SettingProblem]:
    """Warns of half-lives that leave less evidence than priors outweigh.

    `shown_per_hour` is how often a median item is shown: anywhere (""), and in single markets.
    """
    places = [("policy.exposure.half_life_hours", "", policy.exposure.half_life_hours)]
    for name, settings in sorted(policy.markets.items()):
        if settings.half_life_hours is not None:
            places.append((f"policy.markets.{name}.half_life_hours", name, settings.half_life_hours))
    for key, market, half_life_hours in places:
        rate = shown_per_hour.get(market)
        if rate is None or not half_life_hours:
            continue
        held = rate * half_life_hours / math.log(2)
        drowned = [f"{name} {strength:g}" for name, strength in _strengths(policy, market) if held < strength]
        if drowned:
            yield SettingProblem(
                key,
                f"{half_life_hours:g} leaves about {held:.2g} impressions of evidence per item, as a median "
                f"item is shown {rate:.2g} times an hour, against priors of {', '.join(drowned)}: next to "
                "nothing would be learned of single items",
            )


def _strengths(policy: Policy, market: str) -> Iterator[tuple[str, float]]:
    """What the prior of each weighted kind is worth there, at least."""
    own = policy.markets[market].kinds if market in policy.markets else {}
    for name in _weighted(policy):
        belief = own.get(name)
        if policy.priors.mode == "learned":
            yield name, policy.priors.strength_min
        else:
            yield name, (belief and belief.prior_strength) or policy.kinds[name].prior_strength


def _weighted(policy: Policy) -> list[str]:
    return sorted(name for name, kind in policy.kinds.items() if kind.weight > 0)


EXPOSURE_RULES = (
    fitted_curves_have_something_to_fit,
    cascades_can_be_followed,
    stops_are_known,
    market_kinds_are_known,
)
EXPOSURE_WARNINGS = (curves_fall, market_evidence_can_come_in, evidence_outlasts_its_hour)
