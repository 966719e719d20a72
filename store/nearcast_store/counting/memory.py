"""The ledger and its counts in memory, for the simulation and for tests."""

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from nearcast_ledger.identity import Identity
from nearcast_ledger.kinds import IMPRESSION, PASSED_OVER
from nearcast_store.counting.protocol import (
    Batch,
    Changes,
    CountRow,
    DeadLetter,
    FeedCount,
    FoldResult,
    LedgerRow,
    ShardProgress,
    ShuffledCount,
    Standing,
    place_in_stream,
)
from nearcast_store.counting.tallying import (
    CountKey,
    FeedKey,
    Tally,
    Trial,
    TrialKey,
    count_passed_over,
    count_rows,
    find_trials,
    merge,
    one_of_each,
    tally_changes,
)
from nearcast_store.errors import PositionsLostError

HOURS_PER_DAY = 24


class MemoryCountStore:
    """See CountStore. Of the ledger little more than the identities is kept."""

    def __init__(self) -> None:
        self._known: dict[Identity, bool] = {}  # whether it is learned from
        self._folds = 0
        # By tenant; what changed last comes last, with the number of the fold that changed it.
        self._counts: defaultdict[int, OrderedDict[CountKey, tuple[int, int]]] = defaultdict(OrderedDict)
        # The rows of answers that are read until a success.
        self._answers: dict[tuple[int, UUID], list[LedgerRow]] = {}
        self._trials: dict[TrialKey, Trial] = {}
        self._feeds: dict[FeedKey, Tally] = {}
        self._dead: dict[tuple[int, int, str, int], DeadLetter] = {}
        self._standings: dict[tuple[int, int], Standing] = {}

    async def fold(self, batch: Batch) -> FoldResult:
        """Of progress only the places are kept."""
        for hold in batch.holds:
            if self._standing(hold.tenant_id, hold.shard).generation != hold.generation:
                raise PositionsLostError(
                    f"another keeper reads shard {hold.shard} of tenant {hold.tenant_id} now"
                )
        new = [row for row in one_of_each(batch.rows) if self._is_new(row)]
        self._known |= {row.identity: not row.event.unlearned for row in new}
        self._folds += 1
        changed = count_rows(new)
        changed.update(self._passed_over(new))
        for key, count in changed.items():
            counts = self._counts[key.tenant_id]
            counts[key] = (counts.get(key, (0, 0))[0] + count, self._folds)
            counts.move_to_end(key)
        self._learn(find_trials(new))
        for step in batch.progress:
            self._move(step)
        for letter in batch.dead:
            self._dead.setdefault(
                (letter.tenant_id, letter.shard, letter.entry_id, letter.event_index), letter
            )
        reported = sum(not row.implied for row in batch.rows)
        counted = sum(not row.implied for row in new)
        return FoldResult(counted, reported - counted, len(batch.dead))

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 10_000
    ) -> Changes:
        """A horizon is the number of the next fold."""
        complete = horizon is None or horizon > self._folds + 1
        since = 0 if horizon is None or complete else horizon
        rows = []
        for key, (count, fold) in reversed(self._counts[tenant_id].items()):
            if fold < since:
                break
            if after is None or key[1:] > after[:-1]:
                rows.append(CountRow(*key[1:], count))
        rows.sort()
        return Changes(rows[:most], self._folds + 1, complete, len(rows) >= most)

    async def horizon(self) -> int:
        """The number of the next fold."""
        return self._folds + 1

    async def changed_postings(self, tenant_id: int, horizon: int, after: int, most: int) -> list[int]:
        """From what changed, sorted."""
        changed = {row.posting for row in (await self.changed_since(tenant_id, horizon)).rows}
        return sorted(posting for posting in changed if posting > after)[:most]

    async def feed_counts(self, tenant_id: int) -> list[FeedCount]:
        """Sorted by market, feed and hour."""
        return [
            FeedCount(key.market, key.feed, key.bucket, tally.trials, tally.rewards, key.segment)
            for key, tally in sorted(self._feeds.items())
            if key.tenant_id == tenant_id and tally.trials
        ]

    async def counts_of(self, tenant_id: int, postings: Sequence[int]) -> list[CountRow]:
        """One look at every count."""
        wanted = set(postings)
        return self._rows(tenant_id, lambda key: key.posting in wanted)

    async def sums_of(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """One look at every count."""
        sums: Counter[tuple[int, int]] = Counter()
        for row in await self.counts_of(tenant_id, postings):
            sums[row.posting, row.kind] += row.count
        return dict(sums)

    async def shuffled(self, tenant_id: int, first_bucket: int, kinds: Sequence[int]) -> list[ShuffledCount]:
        """One look at every count."""
        found: defaultdict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0])
        for row in self._rows(tenant_id, lambda key: key.explore and key.position_bucket > 0):
            if row.bucket >= first_bucket:
                both = found[row.market, row.bucket // HOURS_PER_DAY, row.position_bucket]
                both[0] += row.count * (row.kind == IMPRESSION)
                both[1] += row.count * (row.kind in kinds)
        return [ShuffledCount(*place, *both) for place, both in sorted(found.items()) if both[0]]

    async def top_postings(self, tenant_id: int, most: int) -> list[int]:
        """Equal ones by their number."""
        seen = self._sums(self._rows(tenant_id, lambda key: key.kind == IMPRESSION), lambda row: row.posting)
        return sorted(seen, key=lambda posting: (-seen[posting], posting))[:most]

    async def totals(self, tenant_id: int) -> dict[int, int]:
        """Of all postings together."""
        return dict(
            self._sums(self._rows(tenant_id, lambda key: key.kind != PASSED_OVER), lambda row: row.kind)
        )

    async def standings(self, tenant_ids: Sequence[int]) -> list[Standing]:
        """Sorted by tenant and shard."""
        return [standing for shard, standing in sorted(self._standings.items()) if shard[0] in tenant_ids]

    async def take(self, tenant_id: int, shard: int) -> Standing:
        """Become the one who folds this shard."""
        before = self._standing(tenant_id, shard)
        taken = before._replace(generation=before.generation + 1, takes=before.takes + 1)
        self._standings[tenant_id, shard] = taken
        return taken

    def _standing(self, tenant_id: int, shard: int) -> Standing:
        return self._standings.get((tenant_id, shard), Standing(tenant_id, shard, "0", 0, 0))

    def _move(self, step: ShardProgress) -> None:
        before = self._standing(step.tenant_id, step.shard)
        last = max(before.last_entry_id, step.last_entry_id, key=place_in_stream)
        moved = before._replace(last_entry_id=last, takes=0 if step.accepted else before.takes)
        self._standings[step.tenant_id, step.shard] = moved

    def _is_new(self, row: LedgerRow) -> bool:
        learned = self._known.get(row.identity)
        return learned is None or not (learned or row.event.unlearned)

    def _passed_over(self, new: Iterable[LedgerRow]) -> Counter[CountKey]:
        """What is passed over with these rows, less what was without them."""
        changed: Counter[CountKey] = Counter()
        answers: defaultdict[tuple[int, UUID], list[LedgerRow]] = defaultdict(list)
        for row in new:
            if row.cascades:
                answers[row.identity.tenant_id, row.identity.origin_id].append(row)
        for answer, rows in answers.items():
            known = self._answers.setdefault(answer, [])
            changed.subtract(count_passed_over(known))
            known += rows
            changed.update(count_passed_over(known))
        return Counter({key: count for key, count in changed.items() if count})

    def _learn(self, trials: dict[TrialKey, Trial]) -> None:
        before = {key: self._trials[key] for key in trials if key in self._trials}
        after = {key: merge(before.get(key), trial) for key, trial in trials.items()}
        self._trials |= after
        for place, change in tally_changes(after, before).items():
            known = self._feeds.get(place, Tally(0, 0))
            self._feeds[place] = Tally(known.trials + change.trials, known.rewards + change.rewards)

    def _rows(self, tenant_id: int, wanted: Callable[[CountKey], bool]) -> list[CountRow]:
        counts = self._counts[tenant_id].items()
        return [CountRow(*key[1:], count) for key, (count, _) in counts if wanted(key)]

    @staticmethod
    def _sums(rows: Iterable[CountRow], by: Callable[[CountRow], int]) -> Counter[int]:
        sums: Counter[int] = Counter()
        for row in rows:
            sums[by(row)] += row.count
        return sums
