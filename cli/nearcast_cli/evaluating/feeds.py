"""Where only the shares of feeds change every session of the ledger tells: its propensity is exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.report import Evaluation, evaluate
from nearcast_cli.evaluating.gathering import Evidence
from nearcast_cli.evaluating.odds import FeedOdds, are_told, refloored_share
from nearcast_cli.evaluating.question import Question
from nearcast_cli.evaluating.reach import only_feeds_change
from nearcast_config.masking import is_conditional
from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_server.choosing import eligible_feeds
from nearcast_server.steadying import is_frozen
from nearcast_statskeeper.epochs import EVERYWHERE
from nearcast_store.decisions.reading import FeedSession
from nearcast_store.markets.atlas import Atlas
from nearcast_store.policies.protocol import Revision

_OVER_ONE = 1 + 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class FeedReport:
    """The share of sessions that something pleased; `shares` are the mean ones before and after, by feed."""

    current: Evaluation
    wanted: Evaluation
    sessions: int
    shares: dict[str, tuple[float, float]]


class _Trial(NamedTuple):
    """One session with one feed; `targets` are the feed's shares under both policies, `absent` the shares of
    feeds that the session could not have got.
    """

    session: bytes
    rewarded: bool
    logged: float
    targets: tuple[float, float]
    absent: tuple[float, float]


def judge_feeds(question: Question, evidence: Evidence, atlas: Atlas, odds: FeedOdds) -> FeedReport | None:
    """None where more than the shares of feeds changes, or nobody was shown anything."""
    in_force, wanted = question.in_force, question.wanted
    if not only_feeds_change(in_force.policy, wanted.policy):
        return None
    trials = list(_Trials(question, evidence, atlas, odds).read())
    if not trials:
        return None
    before, after = _log(trials, 0), _log(trials, 1)
    return FeedReport(
        evaluate(before, question.gate),
        evaluate(after, question.gate, baseline=before),
        len(trials),
        _shares_now(question, odds),
    )


class _Trials:
    def __init__(self, question: Question, evidence: Evidence, atlas: Atlas, odds: FeedOdds) -> None:
        self._question = question
        self._evidence = evidence
        self._atlas = atlas
        self._odds = odds
        used = {each.policy_revision for each in evidence.sessions} & evidence.revisions.keys()
        policies = [evidence.revisions[number].policy for number in used]
        self._told = are_told([*policies, question.in_force.policy, question.wanted.policy])

    def read(self) -> Iterator[_Trial]:
        for each in self._evidence.sessions:
            revision = self._evidence.revisions.get(each.policy_revision)
            if revision is not None and self._question.market in (None, each.market):
                trial = self._trial(each, revision)
                if trial is not None:
                    yield trial

    def _trial(self, each: FeedSession, revision: Revision) -> _Trial | None:
        names = {number: name for name, number in revision.feeds.items()}
        scenarios = {number: name for name, number in revision.scenarios.items()}
        feed, scenario = names.get(each.feed, HOLDOUT_FEED), scenarios.get(each.scenario, "")
        policy, market_id = revision.policy, self._atlas.id_of(each.market)
        sides = self._question.in_force, self._question.wanted
        if (
            feed == HOLDOUT_FEED
            or is_frozen(policy, market_id)
            or any(scenario not in side.policy.scenarios for side in (*sides, revision))
        ):
            return None
        among_served = (1 - policy.exploration.share) * (1 - policy.master.holdout_share)
        logged = each.propensity / among_served
        eligible = frozenset(eligible_feeds(revision, policy.scenarios[scenario], market_id))
        if not 0 < logged <= _OVER_ONE or feed not in eligible:
            return None
        # The ledger does not say who asked: which of such feeds a session could have got is not known.
        if any(is_conditional(policy.feeds[name]) for name in eligible):
            return None
        targets = [self._shares(each, logged, revision, side) for side in sides]
        return _Trial(
            each.session,
            each.rewarded,
            min(logged, 1.0),
            (targets[0].get(feed, 0.0), targets[1].get(feed, 0.0)),
            (_outside(targets[0], eligible), _outside(targets[1], eligible)),
        )

    def _shares(
        self, each: FeedSession, logged: float, revision: Revision, side: Revision
    ) -> dict[str, float]:
        """Of the session's feed alone where its recorded share tells it, of all feeds otherwise."""
        scenario = next(name for name, number in revision.scenarios.items() if number == each.scenario)
        market_id = self._atlas.id_of(each.market)
        if not self._told:
            return dict(self._odds.shares(side, scenario, each.market, market_id, each.segment))
        feed = next(name for name, number in revision.feeds.items() if number == each.feed)
        eligible = eligible_feeds(revision, revision.policy.scenarios[scenario], market_id)
        return {feed: refloored_share(feed, logged, eligible, revision.policy, side.policy)}


def _outside(shares: dict[str, float], eligible: frozenset[str]) -> float:
    return sum(share for feed, share in shares.items() if feed not in eligible)


def _shares_now(question: Question, odds: FeedOdds) -> dict[str, tuple[float, float]]:
    """Of the default surface outside of any market."""
    before, after = (
        dict(odds.shares(side, "default", EVERYWHERE, "")) for side in (question.in_force, question.wanted)
    )
    return {feed: (before.get(feed, 0.0), after.get(feed, 0.0)) for feed in sorted(before | after)}


def _log(trials: Sequence[_Trial], side: int) -> ShownItems:
    return ShownItems(
        session=np.unique([trial.session for trial in trials], return_inverse=True)[1],
        request=np.arange(len(trials)),
        position=np.ones(len(trials), np.int64),
        reward=np.array([float(trial.rewarded) for trial in trials]),
        logged=np.array([trial.logged for trial in trials]),
        target=np.array([trial.targets[side] for trial in trials]),
        unsupported=np.array([trial.absent[side] for trial in trials]),
    )
