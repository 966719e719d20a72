"""A judgement as text: what changes, what it rests on, what both would have earned, and the verdict."""

from collections.abc import Iterator, Sequence

from nearcast_bandit.evaluation.report import Estimate, Evaluation, PositionReport
from nearcast_bandit.evaluation.verdict import Outcome
from nearcast_cli.evaluating.feeds import FeedReport
from nearcast_cli.evaluating.judgement import Judgement
from nearcast_cli.moment import shown as moment_shown

NAMES = {
    "ips": "inverse propensity (IPS)",
    "snips": "self-normalised (SNIPS)",
    "direct": "model alone",
    "doubly_robust": "doubly robust (DR)",
}
Cells = Sequence[str]


def heading(judgement: Judgement, tenant: str, source: str) -> list[str]:
    """What was asked."""
    question = judgement.question
    where = f" in {question.market_id}" if question.market_id else ""
    span = f"{moment_shown(question.days.since_ms)} to {moment_shown(question.days.until_ms)}"
    return [
        f"{source} instead of revision {question.in_force.number} of {tenant}{where}, {span}",
        f"Reward: {question.reward}",
        *(f"  {change}" for change in judgement.changes),
    ]


def basis(judgement: Judgement) -> list[str]:
    """What the figures rest on, what is missing, and what to know of them."""
    said = []
    if judgement.items is not None:
        items, support = judgement.items, judgement.items.wanted.support
        said.append(
            f"Judged {support.requests} of {judgement.evidence.found} logged decisions ({items.explored}"
            f" explored) of {support.sessions} sessions in {items.days:.1f} days."
        )
        said.append(
            f"ESS {support.effective:.0f}, largest weight {support.largest_weight:.3g}, mean weight"
            f" {support.mean_weight:.3f} where {support.mean_weight_expected:.3f} is right"
            f" ({support.mean_weight_z:+.1f} standard errors), unsupported {support.unsupported or 0:.2%}."
        )
    said += [f"Missing: {gap}." for gap in judgement.gaps()]
    said += [f"Note: {note}." for note in judgement.notes()]
    return said


def estimate_rows(current: Evaluation, wanted: Evaluation) -> Iterator[Cells]:
    """An estimator a line."""
    for name, value in wanted.estimates.items():
        if name in NAMES:
            before = current.estimates[name]
            yield NAMES[name], number(before.value), between(before), number(value.value), between(value)


def position_pairs(
    current: Evaluation, wanted: Evaluation
) -> Iterator[tuple[PositionReport, PositionReport]]:
    """Of the positions that both have: slates may be shorter."""
    after = {each.position: each for each in wanted.positions}
    for each in current.positions:
        if each.position in after:
            yield each, after[each.position]


def position_rows(current: Evaluation, wanted: Evaluation) -> Iterator[Cells]:
    """A position a line, by the estimator that judges."""
    by = wanted.judged_by
    for before, after in position_pairs(current, wanted):
        low, high = after.intervals[by]
        yield (
            str(after.position),
            str(after.rows),
            number(before.values[by]),
            number(after.values[by]),
            f"{number(low)} to {number(high)}",
            f"{after.effective:.0f}",
            f"{after.largest_weight:.3g}",
        )


def market_rows(judgement: Judgement) -> Iterator[Cells]:
    """A market a line."""
    for market in judgement.items.markets if judgement.items else ():
        by, enough = market.wanted.judged_by, market.wanted.verdict.outcome is not Outcome.REFUSED
        yield (
            market.market_id or "(none)",
            str(market.requests),
            number(market.current.estimates[by].value),
            number(market.wanted.estimates[by].value),
            gain_told(market.wanted.gain)
            if enough
            else f"too little: ESS {market.wanted.support.effective:.0f}",
        )


def conclusion(judgement: Judgement) -> list[str]:
    """The verdict, and what it goes by."""
    said = []
    if judgement.items is not None:
        wanted = judgement.items.wanted
        said.append(f"Gain by {NAMES[wanted.judged_by]}: {gain_told(wanted.gain)}")
    if judgement.feeds is not None:
        said.append(f"Sessions that were pleased, by feeds alone: {feeds_told(judgement.feeds)}")
    refusals = judgement.refusals()
    if refusals:
        return [*said, "No verdict:", *(f"  {each}" for each in refusals)]
    return [*said, f"Verdict: {judgement.outcome}."]


def advice(judgement: Judgement) -> tuple[str, str]:
    """What to do, and in one sentence why."""
    outcome, gate = judgement.outcome, judgement.question.gate
    allowed = f"the guardrail allows a loss of {gate.guardrail:.1%}"
    match outcome:
        case Outcome.BETTER:
            return "Ship", "The whole interval of the gain lies above 0."
        case Outcome.NO_WORSE:
            return "Ship", f"The whole interval of the gain lies above what is put up with: {allowed}."
        case Outcome.WORSE:
            return "Do not ship", "The whole interval of the gain lies below 0."
        case Outcome.UNDECIDED:
            why = f"The interval of the gain holds both answers ({allowed})"
            return "Cannot say", f"{why}: log for longer, explore more, or try it on a share of sessions."
        case Outcome.REFUSED:
            return (
                "Cannot say",
                "What a verdict would rest on is not there; figures below are not to be relied on.",
            )


def feeds_told(feeds: FeedReport) -> str:
    """The gain, and whether it may be believed."""
    enough = feeds.wanted.verdict.outcome is not Outcome.REFUSED
    lack = "" if enough else f"; too little for a verdict: ESS {feeds.wanted.support.effective:.0f}"
    return f"{gain_told(feeds.wanted.gain)} of {feeds.sessions} sessions with a feed{lack}"


def gain_told(gain: Estimate | None) -> str:
    """With its interval."""
    if gain is None:
        return "cannot be told, as nothing was earned"
    return f"{gain.value:+.1%} (95 %: {gain.low:+.1%} to {gain.high:+.1%})"


def between(estimate: Estimate) -> str:
    """Its interval."""
    return f"{number(estimate.low)} to {number(estimate.high)}"


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}"
