"""From a logged decision to the sides that policies take on it, or why that cannot be told."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from msgspec import Struct

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.slates import Chances, Side, SlateRows, slate_rows
from nearcast_bandit.posterior import posterior_mean
from nearcast_bandit.record import DecisionRecord, Pool
from nearcast_cli.evaluating import rules
from nearcast_cli.evaluating.gathering import Evidence, LeftOut
from nearcast_cli.evaluating.odds import FeedOdds, Shares, are_told, refloored
from nearcast_cli.evaluating.question import Question
from nearcast_cli.evaluating.reach import Obstacle, obstacles
from nearcast_cli.evaluating.sides import Taker, withheld
from nearcast_cli.evaluating.traits import Traits
from nearcast_config.policy import EXPLORE_FEED
from nearcast_server.choosing import eligible_feeds
from nearcast_store.decisions.reading import Candidate
from nearcast_store.markets.atlas import Atlas
from nearcast_store.policies.protocol import Revision


class Task(Struct, frozen=True):
    """One record with the sides of the policy that made it, the one in force and the one that is wanted."""

    record: DecisionRecord
    logged: Side
    targets: tuple[Side, Side]
    model: Floats
    positions: int

    def rows(self, known: Chances) -> SlateRows | None:
        """None for a record whose parts do not fit together."""
        try:
            return slate_rows(self.record, self.logged, self.targets, self.model, self.positions, known)
        except ValueError:
            return None


class Fit:
    """Whether a record can be judged, by what its revision and both policies say."""

    def __init__(self, question: Question, atlas: Atlas, traits: Traits) -> None:
        self._atlas = atlas
        self._traits = traits
        self._both = question.in_force, question.wanted
        self._obstacles: dict[tuple[int, int], Sequence[Obstacle]] = {}

    def needed(self, records: Iterable[tuple[DecisionRecord, Revision]]) -> list[int]:
        """The items of which more must be known than the records hold, and is not known yet."""
        return self._traits.unknown(
            posting
            for record, revision in records
            if record.pool is not None and self._goes_by_traits(record, revision)
            for posting in record.pool.postings.tolist()
        )

    def learn(self, postings: Sequence[int], found: Iterable[Candidate]) -> None:
        """What is known of items that were needed."""
        self._traits.learn(postings, {each.posting: each for each in found})

    def why_not(self, record: DecisionRecord, revision: Revision) -> LeftOut | None:
        """None where nothing is in the way."""
        said = record.circumstances
        if any(said.scenario not in each.policy.scenarios for each in self._both):
            return LeftOut.SCENARIO_GONE
        feed, policy = record.outcome.feed, revision.policy
        if said.scenario not in policy.scenarios or (feed != EXPLORE_FEED and feed not in policy.feeds):
            return LeftOut.OTHER_RULES
        market_id = self._atlas.id_of(said.market)
        if any(each.concerns(said.scenario, market_id) for each in self._in_the_way(revision)):
            return LeftOut.OBSTACLE
        return self._lacks(self.taker(record, revision), record, revision)

    def _lacks(self, taker: Taker, record: DecisionRecord, revision: Revision) -> LeftOut | None:
        if not taker.is_as_recorded():
            return LeftOut.OTHER_RULES
        if taker.is_withheld():
            return LeftOut.WITHHELD
        if not self._goes_by_traits(record, revision):
            return None
        if taker.candidates is None:
            return LeftOut.ITEMS_CHANGED
        return LeftOut.WIDENED if self._looks_further(taker, record.circumstances.scenario) else None

    def taker(self, record: DecisionRecord, revision: Revision) -> Taker:
        """Who takes sides on it, with what is known besides."""
        assert record.pool is not None
        said, candidates = record.circumstances, None
        if self._goes_by_traits(record, revision):
            candidates = self._traits.at(said.decided_at, record.pool.postings.tolist())
        targets = [each.policy for each in self._both]
        unheard = withheld(revision.policy, targets, said.scenario)
        return Taker(record, record.pool, revision, candidates, unheard)

    def _goes_by_traits(self, record: DecisionRecord, revision: Revision) -> bool:
        scenario, policies = record.circumstances.scenario, [each.policy for each in self._both]
        return all(scenario in each.scenarios for each in (revision.policy, *policies)) and any(
            rules.needs_traits(revision.policy, each, scenario) for each in policies
        )

    def _looks_further(self, taker: Taker, scenario: str) -> bool:
        """Where filters leave too few the radius widens, and nobody knows what is there."""
        record = taker.record
        for target in self._both:
            out = rules.barred(
                taker.revision.policy.scenarios[scenario],
                target.policy.scenarios[scenario],
                taker.candidates,
            )
            if out is not None and (record.circumstances.truncated or (~out).sum() < record.ordering.limit):
                return True
        return False

    def _in_the_way(self, revision: Revision) -> Iterator[Obstacle]:
        for target in self._both:
            key = revision.number, target.number
            if key not in self._obstacles:
                self._obstacles[key] = obstacles(revision.policy, target.policy)
            yield from self._obstacles[key]


class TaskMaker:
    """Takes both policies' sides on every record."""

    def __init__(
        self, question: Question, evidence: Evidence, atlas: Atlas, odds: FeedOdds, fit: Fit
    ) -> None:
        self._question = question
        self._evidence = evidence
        self._atlas = atlas
        self._odds = odds
        self._fit = fit
        self._both = question.in_force, question.wanted
        used = {record.circumstances.policy_revision for record in evidence.records}
        policies = [evidence.revisions[number].policy for number in used]
        self.are_shares_told = are_told([*policies, *(each.policy for each in self._both)])

    def tasks(self) -> Iterator[Task]:
        """One for each record."""
        for record in self._evidence.records:
            revision = self._evidence.revisions[record.circumstances.policy_revision]
            taker = self._fit.taker(record, revision)
            current, wanted = (
                taker.target(target, self._shares(record, revision, target)) for target in self._both
            )
            model = self._model(taker.pool)
            yield Task(record, taker.logged(), (current, wanted), model, self._question.positions)

    def _shares(self, record: DecisionRecord, revision: Revision, target: Revision) -> Shares:
        """Those that were recorded under other floors, or all of them as they would be published now."""
        said = record.circumstances
        if self.are_shares_told:
            return refloored(record.choice.shares, revision.policy, target.policy)
        market_id = self._market_id(record)
        usual = eligible_feeds(revision, revision.policy.scenarios[said.scenario], market_id)
        masked = set(usual).difference(feed for feed, _ in record.choice.shares)
        segment = self._question.in_force.segments.get(said.segment, 0)
        return self._odds.shares(target, said.scenario, said.market, market_id, segment, masked)

    def _market_id(self, record: DecisionRecord) -> str:
        return self._atlas.id_of(record.circumstances.market)

    def _model(self, pool: Pool) -> Floats:
        """The reward that is expected of each candidate that is looked at."""
        rates = [
            worth * posterior_mean(pool.a[row], pool.b[row])
            for row, kind in enumerate(pool.kinds)
            if (worth := self._question.worth.get(kind))
        ]
        total: Floats = np.sum(rates, axis=0) if rates else np.zeros(pool.postings.size)
        return total


def in_the_way(question: Question) -> Sequence[Obstacle]:
    """What stops a judgement of every decision that was made under the policy in force."""
    found = obstacles(question.in_force.policy, question.wanted.policy)
    return [each for each in found if not (each.scenario or each.market)]
