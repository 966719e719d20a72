"""The answer: what both policies would have earned, whether that may be believed, and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from nearcast_bandit.evaluation.report import Evaluation
from nearcast_bandit.evaluation.verdict import Outcome, Verdict
from nearcast_cli.evaluating.feeds import FeedReport
from nearcast_cli.evaluating.gathering import Evidence
from nearcast_cli.evaluating.items import ItemReport
from nearcast_cli.evaluating.question import Question
from nearcast_cli.evaluating.reach import Obstacle
from nearcast_config.policydiff import Change, policy_changes
from nearcast_ledger.event import Unlearned

_MOST_DAYS = 10
_UNLEARNED = {
    Unlearned.TOKEN_MISSING: "had no token",
    Unlearned.TOKEN_INVALID: "had a token that is not ours",
    Unlearned.TOKEN_EXPIRED: "came after the attribution window",
    Unlearned.TOKEN_SUBJECT: "had the token of somebody else",
}


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """`items` is None when no decision could be judged; `feeds` where more than shares of feeds changes."""

    question: Question
    evidence: Evidence
    obstacles: Sequence[Obstacle]
    items: ItemReport | None
    feeds: FeedReport | None
    are_shares_told: bool

    @property
    def changes(self) -> Sequence[Change]:
        """Key by key."""
        return policy_changes(self.question.in_force.policy, self.question.wanted.policy)

    @property
    def outcome(self) -> Outcome:
        """That of the items; where it is refused, that of the feeds."""
        outcomes = [each.wanted.verdict.outcome for each in (self.items, self.feeds) if each is not None]
        if self.obstacles or not self.changes:
            return Outcome.REFUSED
        return next((each for each in outcomes if each is not Outcome.REFUSED), Outcome.REFUSED)

    @property
    def verdict(self) -> Verdict:
        """The outcome, with all that is missing where there is none."""
        return Verdict(self.outcome, tuple(self.refusals()))

    def refusals(self) -> list[str]:
        """Why there is no verdict, all at once; empty when there is one."""
        return list(self._refusals()) if self.outcome is Outcome.REFUSED else []

    def _refusals(self) -> Iterator[str]:
        days = self.question.days
        if not self.changes:
            yield "the policy is the one in force: there is nothing to compare"
            return
        for obstacle in self.obstacles:
            yield f"it cannot be judged from this log: {obstacle}"
        if self.obstacles:
            return
        if not self.evidence.found:
            yield f"no decision is logged from {days.first} to {days.last}"
        elif self.items is None:
            yield f"none of the {self.evidence.found} decisions that are logged can be judged"
        if self.items is not None:
            yield from self._lacks(self.items.wanted)
        if self.feeds is not None:
            yield from (f"by feeds: {lack}" for lack in self.feeds.wanted.verdict.missing)

    def _lacks(self, wanted: Evaluation) -> Iterator[str]:
        """As the verdict says; how much longer it would take instead of how many times as much."""
        support, gate = wanted.support, self.question.gate
        missing = wanted.verdict.missing
        if support.effective < gate.least_effective:
            missing = missing[1:]
            yield self._thin(support.effective, gate.least_effective)
        yield from missing

    def _thin(self, effective: float, needed: float) -> str:
        said = f"ESS {effective:.0f} of {needed:.0f} needed"
        if self.evidence.unread:
            return f"{said}: {self.evidence.unread} logged decisions were not looked at; raise --most"
        days = self.items.days if self.items else 0.0
        if effective <= 0 or days <= 0:
            return f"{said}: log for longer, explore more, or judge a policy nearer to the one in force"
        more = days * (needed / effective - 1)
        share = self.question.in_force.policy.exploration.share
        return (
            f"{said}: about {_days(more)} at the current exploration share ({share:.1%}); or explore more,"
            " or judge a policy nearer to the one in force"
        )

    def gaps(self) -> list[str]:
        """What an evaluation would rest on and is not there, as exactly as it can be told."""
        return list(self._gaps())

    def _gaps(self) -> Iterator[str]:
        evidence = self.evidence
        if evidence.unread:
            most = self.question.most
            yield f"{evidence.unread} of {evidence.found} decisions were not looked at (--most {most})"
        empty = evidence.empty_days(self.question)
        if empty:
            yield f"no decisions on {_listed(empty)}"
        lost = [each for each in evidence.explored if each.lost]
        if lost:
            explored = sum(each.requests for each in evidence.explored)
            yield (
                f"{evidence.lost} of {explored} requests that explored and were seen left no record, on"
                f" {_listed([each.day for each in lost])}: given up on the way (as"
                " nearcast_server_decisions_total counts), or their days were dropped"
            )
        if evidence.elsewhere:
            yield f"{evidence.elsewhere} decisions are of other markets"
        for why, count in evidence.left_out.most_common():
            yield f"{count} decisions {why}"
        for reason, count in evidence.unlearned.items():
            yield f"{count} events {_UNLEARNED.get(reason, 'are not learned from')}: they are no reward here"

    def notes(self) -> list[str]:
        """What a reader should know of the figures."""
        return list(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.items is not None and self.items.unanswered:
            yield f"of {self.items.unanswered} requests nobody told anything: they count as without reward"
        if self.items is not None and not self.are_shares_told:
            yield (
                "shares of feeds are those that the keeper would publish now under each policy: more than"
                " their floors differs from when decisions were logged"
            )
        in_force, wanted = self.question.in_force.policy, self.question.wanted.policy
        if any(
            wanted.kinds[name].weight != kind.weight
            for name, kind in in_force.kinds.items()
            if name in wanted.kinds
        ):
            yield "weights differ: both are judged by what events are worth in the policy in force"
        if wanted.slate.max_limit < in_force.slate.max_limit:
            yield (
                f"slates have at most {wanted.slate.max_limit} places: those beyond count as nothing, though"
                " some people would go on to a next page"
            )
        held = max(in_force.master.holdout_share, wanted.master.holdout_share)
        if held:
            yield "people who are held out are not in these figures, under either policy"


def _days(days: float) -> str:
    return f"{days:.0f} more days" if days >= 1.5 else f"{max(days * 24, 1):.0f} more hours"


def _listed(days: Sequence[date]) -> str:
    """Runs of days as one."""
    runs: list[list[date]] = []
    for day in sorted(days):
        if runs and (day - runs[-1][-1]).days == 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    said = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    more = len(said) - _MOST_DAYS
    return ", ".join(said[:_MOST_DAYS]) + (f" and {more} more stretches" if more > 0 else "")
