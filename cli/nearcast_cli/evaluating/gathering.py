"""All that an evaluation reads, and all that is not there to be read."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from nearcast_bandit.record import DecisionRecord
from nearcast_cli.evaluating.progress import Noticed
from nearcast_cli.evaluating.question import Question
from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_ledger.event import Unlearned
from nearcast_ledger.requestid import identity_day
from nearcast_server.steadying import is_frozen
from nearcast_store.decisions.codec import UnreadableRecordError, unpack
from nearcast_store.decisions.reading import Candidate, DecisionReader, Explored, FeedSession
from nearcast_store.markets.atlas import Atlas
from nearcast_store.policies.protocol import Revision

_AT_ONCE = 200
_BY_CHANCE = ("explore", "share")
_RANDOM_BITS = 62


class LeftOut(StrEnum):
    """Why a logged decision is not judged."""

    NOT_BY_CHANCE = "were logged for another reason than chance, such as an explanation that was asked for"
    LATER_PAGE = "go on with a slate: what they show depends on the pages before"
    CUT = "had too many candidates for a record"
    CHANGED = "had candidates that changed while they were read"
    UNREADABLE = "cannot be read, or were written by a newer nearcast"
    HELD_OUT = "were held out: the bandits leave them alone"
    FROZEN = "were frozen: the bandits leave them alone"
    EMPTY = "had nothing to show"
    EVENTS_GONE = "are of days whose events are no longer kept"
    NO_REVISION = "are of a revision that is not there, or that another version of nearcast wrote"
    SCENARIO_GONE = "are of a scenario that one of the policies does not have"
    OTHER_RULES = "were ordered otherwise than their revision says"
    WITHHELD = "do not hold what other feeds go by: a shuffle not who is new or whose, a list no factors"
    ITEMS_CHANGED = "have items that were changed or deleted since: what rules go by is not known of them"
    WIDENED = "would have too few items left, or had too many to look at: what else competes is not known"
    OBSTACLE = "were made under a policy that differs in what records do not tell"


@dataclass(slots=True)
class Evidence:
    """`found` decisions are logged, `unread` of them were not looked at; of those that were, and are of the
    market in question, some were left out, `elsewhere` are of other markets.

    `earned` has the reward of each posting of a request that had any.
    """

    found: int = 0
    unread: int = 0
    elsewhere: int = 0
    records: list[DecisionRecord] = field(default_factory=list)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    by_day: Counter[date] = field(default_factory=Counter)
    revisions: dict[int, Revision] = field(default_factory=dict)
    earned: dict[tuple[UUID, int], float] = field(default_factory=dict)
    answered: set[UUID] = field(default_factory=set)
    gone: set[date] = field(default_factory=set)
    explored: Sequence[Explored] = ()
    unlearned: Mapping[Unlearned, int] = field(default_factory=dict)
    sessions: Sequence[FeedSession] = ()

    def empty_days(self, question: Question) -> list[date]:
        """Days of which no decision is logged, though some are of earlier days or these were asked for."""
        first, last = question.days.first, question.days.last
        if not question.is_since_told and self.by_day:
            first = min(self.by_day)
        days = (first + timedelta(offset) for offset in range((last - first).days + 1))
        return [day for day in days if not self.by_day[day]]

    @property
    def lost(self) -> int:
        """Requests that explored, and were seen, of which there is no record."""
        return sum(each.lost for each in self.explored)


class Fitness(Protocol):
    """Tells what can be judged."""

    def needed(self, records: Iterable[tuple[DecisionRecord, Revision]]) -> list[int]:
        """Items of which more must be known."""
        ...

    def learn(self, postings: Sequence[int], found: Iterable[Candidate]) -> None:
        """What is known of items that were needed."""
        ...

    def why_not(self, record: DecisionRecord, revision: Revision) -> LeftOut | None:
        """None where nothing is in the way."""
        ...


class Gatherer:
    """Reads what a question needs."""

    def __init__(
        self,
        reader: DecisionReader,
        question: Question,
        atlas: Atlas,
        find_revision: Callable[[int], Awaitable[Revision | None]],
        noticed: Noticed,
    ) -> None:
        self._reader = reader
        self._question = question
        self._atlas = atlas
        self._find_revision = find_revision
        self._noticed = noticed
        self._evidence = Evidence()

    async def gather(self, fitness: Fitness | None) -> Evidence:
        """All of it, but of the decisions only how many there are where nothing is to be judged by them."""
        days, evidence = self._question.days, self._evidence
        ids = await self._reader.ids(days)
        evidence.found = evidence.unread = len(ids)
        evidence.by_day.update(identity_day(each) for each in ids)
        evidence.gone = await self._reader.gone_days()
        evidence.explored = await self._reader.explored(days)
        evidence.unlearned = await self._reader.unlearned(days)
        evidence.sessions = await self._reader.feed_sessions(days)
        for each in evidence.sessions:
            await self._revision(each.policy_revision)
        if fitness is None:
            evidence.unread = 0
            return evidence
        await self._read(sorted(ids, key=_by_chance), fitness)
        await self._reward()
        return evidence

    async def _read(self, ids: Sequence[UUID], fitness: Fitness) -> None:
        """By chance, until there are enough that can be judged."""
        evidence, most = self._evidence, self._question.most
        for some in _parts(ids):
            raw = dict(await self._reader.records(self._question.days, some))
            records = {request_id: _unpacked(packed) for request_id, packed in raw.items()}
            await self._learn([record for record in records.values() if record is not None], fitness)
            for request_id in some:
                if len(evidence.records) >= most:
                    return
                evidence.unread -= 1
                if request_id in records:
                    await self._take(records[request_id], fitness)
            self._noticed("reading", evidence.found - evidence.unread, evidence.found)

    async def _learn(self, records: Sequence[DecisionRecord], fitness: Fitness) -> None:
        """What more must be known of their items."""
        made = [(each, await self._revision(each.circumstances.policy_revision)) for each in records]
        postings = fitness.needed([(each, revision) for each, revision in made if revision is not None])
        if postings:
            fitness.learn(postings, await self._reader.candidates(postings))

    async def _take(self, record: DecisionRecord | None, fitness: Fitness) -> None:
        evidence = self._evidence
        if record is None:
            evidence.left_out[LeftOut.UNREADABLE] += 1
            return
        said = record.circumstances
        if self._question.market not in (None, said.market):
            evidence.elsewhere += 1
            return
        revision = await self._revision(said.policy_revision)
        why = self._why_not(record, revision)
        if why is None and revision is not None:
            why = fitness.why_not(record, revision)
        if why is None:
            evidence.records.append(record)
        else:
            evidence.left_out[why] += 1

    def _why_not(self, record: DecisionRecord, revision: Revision | None) -> LeftOut | None:
        said, outcome = record.circumstances, record.outcome
        if revision is None:
            return LeftOut.NO_REVISION
        checks = (
            (said.reason not in _BY_CHANCE, LeftOut.NOT_BY_CHANCE),
            (record.choice.resumed, LeftOut.LATER_PAGE),
            (outcome.feed == HOLDOUT_FEED, LeftOut.HELD_OUT),
            (is_frozen(revision.policy, self._atlas.id_of(said.market)), LeftOut.FROZEN),
            (record.pool is None and said.gap == "changed", LeftOut.CHANGED),
            (record.pool is None, LeftOut.CUT),
            (not outcome.postings, LeftOut.EMPTY),
            (identity_day(said.request_id) in self._evidence.gone, LeftOut.EVENTS_GONE),
        )
        return next((why for is_so, why in checks if is_so), None)

    async def _revision(self, number: int) -> Revision | None:
        known = self._evidence.revisions
        if number not in known:
            found = await self._find_revision(number)
            if found is None:
                return None
            known[number] = found
        return known[number]

    async def _reward(self) -> None:
        evidence, worth = self._evidence, self._question.worth
        for some in _parts([record.circumstances.request_id for record in evidence.records]):
            for event in await self._reader.events(self._question.days, some):
                evidence.answered.add(event.request_id)
                if event.kind in worth:
                    key = event.request_id, event.posting
                    evidence.earned[key] = evidence.earned.get(key, 0.0) + worth[event.kind]


def _unpacked(raw: bytes) -> DecisionRecord | None:
    try:
        return unpack(raw)
    except UnreadableRecordError:
        return None


def _by_chance(request_id: UUID) -> int:
    """What is random of an id: so any first part of a log is an even choice, and always the same."""
    return request_id.int & ((1 << _RANDOM_BITS) - 1)


def _parts(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]
