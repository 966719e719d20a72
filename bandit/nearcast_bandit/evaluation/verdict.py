"""Whether a target may be called better: only on enough evidence, otherwise what is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from nearcast_bandit.evaluation.support import Support


class Outcome(StrEnum):
    """`refused`: not enough evidence to judge. `undecided`: enough, but the interval holds both answers."""

    REFUSED = "refused"
    BETTER = "better"
    NO_WORSE = "no worse than the guardrail allows"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before a verdict is given, and how much relative loss is put up with (`guardrail`)."""

    least_effective: float = 1000.0
    most_unsupported: float = 0.01
    most_weight_z: float = 4.9
    guardrail: float = 0.0

    def __post_init__(self) -> None:
        for name in ("least_effective", "most_unsupported", "most_weight_z", "guardrail"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must not be below 0")


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, and when it is refused all that is missing, in words."""

    outcome: Outcome
    missing: tuple[str, ...] = ()

    @property
    def may_ship(self) -> bool:
        """Whether the lower end of the interval clears the guardrail."""
        return self.outcome in (Outcome.BETTER, Outcome.NO_WORSE)


def judge(gate: Gate, support: Support, gain: tuple[float, float] | None) -> Verdict:
    """The verdict on the interval of a relative gain; None when the log earned nothing to compare with."""
    missing = tuple(_missing(gate, support))
    if gain is None:
        missing += ("the log holds no reward, so no gain can be measured against it: log for longer",)
    if missing or gain is None:
        return Verdict(Outcome.REFUSED, missing)
    low, high = gain
    if low > 0:
        return Verdict(Outcome.BETTER)
    if high < 0:
        return Verdict(Outcome.WORSE)
    return Verdict(Outcome.NO_WORSE if low > -gate.guardrail else Outcome.UNDECIDED)


def _missing(gate: Gate, support: Support) -> Iterator[str]:
    if support.effective < gate.least_effective:
        times = gate.least_effective / support.effective if support.effective else float("inf")
        yield (
            f"the effective sample size is {support.effective:.0f} of {support.requests} requests and must be"
            f" at least {gate.least_effective:g}: log about {times:.1f} times as much, explore more,"
            " or judge a policy nearer to the one that logged"
        )
    if support.unsupported is None:
        yield (
            "how much of the target lies on items that could not have been logged is not known:"
            " give the column unsupported"
        )
    elif support.unsupported > gate.most_unsupported:
        yield (
            f"{support.unsupported:.1%} of the target's probability lies on items that could not have been"
            f" logged, and at most {gate.most_unsupported:.1%} may: only a floor of exploration that reaches"
            " them can tell what they earn"
        )
    if abs(support.mean_weight_z) > gate.most_weight_z:
        yield (
            f"weights average {support.mean_weight:.3f} where {support.mean_weight_expected:.3f} is right"
            f" ({support.mean_weight_z:+.1f} standard errors): the logged propensities are not those of the"
            " policy that logged; look for rules that act after the draw, or another snapshot"
        )
