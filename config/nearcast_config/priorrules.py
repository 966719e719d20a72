"""Rules of priors, fitted or set, and of what a new item is believed to be, each with its consequence."""

import math
from collections.abc import Iterator

from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem

_DROWNING_STRENGTH = 5000.0
_HOURS_TO_LEARN = 24.0
_LEAST_CHANCE = 0.001
_FLOODING_CHANCE = 0.5


def fitted_strengths_leave_room(policy: Policy) -> Iterator[SettingProblem]:
    """A fit chooses between two strengths."""
    priors = policy.priors
    if priors.strength_min >= priors.strength_max:
        yield SettingProblem(
            "policy.priors.strength_min",
            f"must be below priors.strength_max ({priors.strength_max}), got {priors.strength_min}: "
            "no strength would be left to fit",
        )


def newcomers_can_be_set(policy: Policy) -> Iterator[SettingProblem]:
    """How often a new item beats the incumbent has to be possible, and the incumbent known."""
    chance = policy.newcomers.beats_incumbent
    if 0 < chance < _LEAST_CHANCE:
        yield SettingProblem(
            "policy.newcomers.beats_incumbent",
            f"must be 0 or in [{_LEAST_CHANCE}, 0.999], got {chance}: so rare an event cannot be set",
        )
    elif chance and policy.priors.mode == "fixed":
        yield SettingProblem(
            "policy.newcomers.beats_incumbent",
            f'needs priors.mode "learned", got {chance} with "fixed": who the incumbent is comes from fits',
        )


def priors_can_be_outweighed(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of priors that no evidence moves."""
    half_life_hours = policy.exposure.half_life_hours
    for name, kind in sorted(policy.kinds.items()):
        if kind.prior_strength >= _DROWNING_STRENGTH:
            yield SettingProblem(
                f"policy.kinds.{name}.prior_strength",
                f"{kind.prior_strength} drowns the evidence: an item keeps its prior rate until it has "
                "been seen about that often",
            )
        if 0 < half_life_hours < kind.maturity_hours:
            yield SettingProblem(
                "policy.exposure.half_life_hours",
                f"{half_life_hours} is shorter than kinds.{name}.maturity_hours "
                f"({kind.maturity_hours}): evidence fades before it has come in",
            )


def fits_can_be_outweighed(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of fits that no evidence moves, or that rest on little."""
    priors, half_life_hours = policy.priors, policy.exposure.half_life_hours
    if priors.mode == "fixed":
        return
    if priors.strength_min >= _DROWNING_STRENGTH:
        yield SettingProblem(
            "policy.priors.strength_min",
            f"{priors.strength_min} drowns the evidence: every item keeps the rate of its category until it "
            "has been seen about that often",
        )
    if 0 < half_life_hours < priors.fit_every_hours:
        yield SettingProblem(
            "policy.priors.fit_every_hours",
            f"{priors.fit_every_hours} is longer than exposure.half_life_hours ({half_life_hours}): most of "
            "what a fit rests on has faded before the next one",
        )
    if 0 < half_life_hours < _HOURS_TO_LEARN:
        yield SettingProblem(
            "policy.exposure.half_life_hours",
            f"{half_life_hours} is less than a day: priors are fitted to a few hours and follow the time of "
            "day; an item seen n times an hour never holds more evidence than "
            f"{half_life_hours / math.log(2):.3g} n impressions",
        )


def newcomers_leave_room(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of new items that come before everything known."""
    chance = policy.newcomers.beats_incumbent
    if chance > _FLOODING_CHANCE:
        yield SettingProblem(
            "policy.newcomers.beats_incumbent",
            f"{chance} lets new items flood the slates: one of which nothing is known comes before the item "
            "in the last place more often than not, and all items of its category are believed to be as good",
        )


PRIOR_RULES = (fitted_strengths_leave_room, newcomers_can_be_set)
PRIOR_WARNINGS = (priors_can_be_outweighed, fits_can_be_outweighed, newcomers_leave_room)
