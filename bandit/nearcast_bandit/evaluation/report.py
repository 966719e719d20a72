"""One evaluation: every estimate with its interval, what it stands on, and the verdict."""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.bootstrap import Resampling, resampled_estimates, resampled_positions
from nearcast_bandit.evaluation.estimators import NEED_A_MODEL, estimates, position_estimates
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.sums import SessionSums, session_sums
from nearcast_bandit.evaluation.support import Support, effective_size, measure_support
from nearcast_bandit.evaluation.verdict import Gate, Verdict, judge


@dataclass(frozen=True, slots=True)
class Estimate:
    """A reward per request, and the interval of its bootstrap by session."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PositionReport:
    """What one position adds to each estimate, by the estimator's name, and what that stands on."""

    position: int
    rows: int
    values: dict[str, float]
    effective: float
    largest_weight: float
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The target's reward per request by estimator; `gain` is that of `judged_by` relative to the log.

    Or relative to the same estimate of a baseline, where one was given.
    """

    estimates: dict[str, Estimate]
    positions: tuple[PositionReport, ...]
    support: Support
    judged_by: str
    gain: Estimate | None
    verdict: Verdict


def evaluate(
    log: ShownItems,
    gate: Gate | None = None,
    resampling: Resampling | None = None,
    baseline: ShownItems | None = None,
) -> Evaluation:
    """Judge the target of a log: by the doubly robust estimate where there is a model, by SNIPS otherwise.

    `baseline` is the same log with another target to compare with, instead of what the log earned: where
    some requests were logged more often than others, that is not what was earned.
    """
    gate, resampling = gate or Gate(), resampling or Resampling()
    sums, support = session_sums(log), measure_support(log)
    totals = sums.totals()
    left_out = NEED_A_MODEL if log.modelled is None else ()
    points = {name: value for name, value in estimates(totals).items() if name not in left_out}
    by_position = resampled_positions(sums, resampling)
    spreads = {name: values.sum(axis=1) for name, values in by_position.items()}
    judged_by = "snips" if left_out else "doubly_robust"
    if baseline is None:
        before, spread_before = points["logged"], spreads["logged"]
    else:
        of_baseline = session_sums(baseline)
        before = estimates(of_baseline.totals())[judged_by]
        spread_before = resampled_estimates(of_baseline, resampling)[judged_by]
    gain = _gain(
        (float(points[judged_by][0]), float(before[0])), (spreads[judged_by], spread_before), resampling
    )
    return Evaluation(
        estimates={
            name: Estimate(float(value[0]), *resampling.interval(spreads[name]))
            for name, value in points.items()
        },
        positions=_positions(log, totals, by_position, left_out, resampling),
        support=support,
        judged_by=judged_by,
        gain=gain,
        verdict=judge(gate, support, None if gain is None else (gain.low, gain.high)),
    )


def _gain(
    point: tuple[float, float], spread: tuple[Floats, Floats], resampling: Resampling
) -> Estimate | None:
    """Target over log less 1, both drawn from the same sessions; None where the log earned nothing."""
    earned = spread[1] > 0
    if point[1] <= 0 or not earned.any():
        return None
    relative = spread[0][earned] / spread[1][earned] - 1
    return Estimate(point[0] / point[1] - 1, *resampling.interval(relative))


def _positions(
    log: ShownItems,
    totals: SessionSums,
    spreads: dict[str, Floats],
    left_out: tuple[str, ...],
    resampling: Resampling,
) -> tuple[PositionReport, ...]:
    values = position_estimates(totals)
    found = []
    for column, position in enumerate(np.unique(log.position)):
        weight = log.weight[log.position == position]
        found.append(
            PositionReport(
                position=int(position),
                rows=weight.size,
                values={name: float(row[0, column]) for name, row in values.items() if name not in left_out},
                effective=effective_size(weight),
                largest_weight=float(weight.max()),
                intervals={
                    name: resampling.interval(spread[:, column])
                    for name, spread in spreads.items()
                    if name not in left_out
                },
            )
        )
    return tuple(found)
