"""What an item is believed to be like before it was seen: by its market and category, for each kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_config.policy import Kind, Policy
from nearcast_store.policies.protocol import Revision
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit, Region

Place = tuple[int, str]
"""The market and the category of an item; 0 and "" for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """A line for each different place, the first for all that are not named; each with a prior per kind.

    `fit` is the number of the fit they come from, 0 for none; `fits` is that of the last one there is, also
    while the policy does not ask for it.
    """

    lines: Sequence[Sequence[LevelPrior]]
    named: Mapping[Region, int] = field(default_factory=dict)
    fit: int = 0
    fits: int = 0
    # By kind and line.
    means: Floats = field(init=False)
    strengths: Floats = field(init=False)

    def __post_init__(self) -> None:
        priors = [[each.prior for each in line] for line in self.lines]
        for name, value in (
            ("means", [[prior.mean for prior in line] for line in priors]),
            ("strengths", [[prior.strength for prior in line] for line in priors]),
        ):
            object.__setattr__(self, name, np.array(value, np.float64).T.copy())

    @property
    def otherwise(self) -> tuple[Prior, ...]:
        """By kind, that of an item of which not even the place is known."""
        return tuple(each.prior for each in self.lines[0])

    @property
    def differ(self) -> bool:
        """Whether items that nobody has seen are told of, too: their places may have priors of their own."""
        return bool(self.fits or self.named)

    @property
    def mark(self) -> tuple[int, int]:
        """Equal as long as the fit is."""
        return self.fit, self.fits

    def lines_of(self, places: Iterable[Place]) -> Integers:
        """The line of each."""
        return np.fromiter(map(self.line_of, places), np.int64)

    def line_of(self, place: Place) -> int:
        """Of the category, else of its market, else of all."""
        line = self.named.get(place)
        return self.named.get((place[0], None), 0) if line is None else line


def configured_priors(policy: Policy, fits: int = 0, markets: Mapping[str, int] | None = None) -> Priors:
    """The same everywhere, but in markets that have settings of their own."""
    own = own_priors(policy, markets or {})
    regions = [EVERYWHERE, *sorted({each for one in own for each in one}, key=repr)]
    line = [_configured(kind) for kind in policy.kinds.values()]
    lines = [[one.get(region, usual) for one, usual in zip(own, line, strict=True)] for region in regions]
    named = {region: number for number, region in enumerate(regions)} if len(regions) > 1 else {}
    return Priors(lines, named, fits=fits)


def own_priors(policy: Policy, markets: Mapping[str, int]) -> list[dict[Region, LevelPrior]]:
    """By kind, what the operator says of single markets; of those that are on the map."""
    own: list[dict[Region, LevelPrior]] = [{} for _ in policy.kinds]
    for market, settings in policy.markets.items():
        number = markets.get(market)
        for row, (name, kind) in enumerate(policy.kinds.items()):
            belief = settings.kinds.get(name)
            if number is not None and belief is not None:
                mean = kind.prior_mean if belief.prior_mean is None else belief.prior_mean
                strength = kind.prior_strength if belief.prior_strength is None else belief.prior_strength
                own[row][number, None] = _level_of(Prior(mean, strength))
    return own


def priors_of(revision: Revision, fit: PriorFit | None, markets: Mapping[str, int] | None = None) -> Priors:
    """As the policy asks: what is configured, or what was fitted; a kind that was not is as configured.

    What is configured for a market stands until something was fitted to that market's own items.
    """
    policy = revision.policy
    if fit is None or policy.priors.mode == "fixed":
        return configured_priors(policy, fit.number if fit else 0, markets)
    fitted = [
        _with_own(fit.priors.get(revision.kinds[name], {EVERYWHERE: _configured(kind)}), own)
        for (name, kind), own in zip(policy.kinds.items(), own_priors(policy, markets or {}), strict=True)
    ]
    regions = [EVERYWHERE, *sorted({each for one in fitted for each in one} - {EVERYWHERE}, key=repr)]
    lines = [[_nearest(one, region) for one in fitted] for region in regions]
    named = {region: line for line, region in enumerate(regions)}
    return Priors(lines, named, fit.number, fit.number)


def _with_own(
    fitted: Mapping[Region, LevelPrior], own: Mapping[Region, LevelPrior]
) -> Mapping[Region, LevelPrior]:
    """What a market's own items, or a category's of it, did not tell is as the operator says."""
    told = (Level.MARKET, Level.CATEGORY)
    kept = {
        place: each for place, each in fitted.items() if (place[0], None) not in own or each.level in told
    }
    return {**own, **kept}


def _nearest(fitted: Mapping[Region, LevelPrior], region: Region) -> LevelPrior:
    """Of one kind, what holds there: its own, or that of the market, or of everything."""
    for each in (region, (region[0], None)):
        found = fitted.get(each)
        if found is not None:
            return found
    return fitted[EVERYWHERE]


def _configured(kind: Kind) -> LevelPrior:
    return _level_of(Prior(kind.prior_mean, kind.prior_strength))


def _level_of(prior: Prior) -> LevelPrior:
    return LevelPrior(prior, Level.CONFIGURED, FitKind.TOO_LITTLE, 0, 0.0, 0.0, 0.0)
