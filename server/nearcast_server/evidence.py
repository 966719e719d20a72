"""What is believed of every item: counts in, Beta posteriors out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.hierarchy import LevelPrior
from nearcast_bandit.posterior import posteriors
from nearcast_server.beliefrules import number_of
from nearcast_server.countbook import Countbook, Lines
from nearcast_server.impressions import Impressions, LastHours
from nearcast_server.priors import Place, Priors, priors_of
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import Exposing, exposing, markets_apart
from nearcast_store.counting.protocol import CountRow
from nearcast_store.policies.protocol import Revision
from nearcast_store.priors.protocol import PriorFit

SECONDS_PER_HOUR = 3600.0
_UNKNOWN_ROW = 0
NOTHING_EXPOSED = Exposing(())


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """Evidence and posteriors of some postings: a row for each kind, a column for each posting."""

    postings: Integers
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    weights: tuple[float, ...]
    priors: Priors
    prior_lines: Integers
    exposures: Floats
    successes: Floats
    a: Floats
    b: Floats

    def prior(self, row: int, column: int) -> LevelPrior:
        """What the posterior of that kind and posting began with, and where it came from."""
        return self.priors.lines[int(self.prior_lines[column])][row]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is known at one moment, under one policy; never changed once made.

    `rules` is the number of what its posteriors are derived by.
    """

    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    weights: tuple[float, ...]
    priors: Priors
    rows: Mapping[int, int]
    exposures: Floats
    successes: Floats
    impressions: Integers = field(default_factory=lambda: np.zeros(1, np.int64))
    exposing: Exposing = NOTHING_EXPOSED
    rules: int = 0

    def impressions_of(self, postings: Sequence[int]) -> Integers:
        """How often each was shown in all."""
        rows, known = self.rows, self.impressions
        found = np.fromiter(
            (rows.get(posting, _UNKNOWN_ROW) for posting in postings), np.int64, len(postings)
        )
        found[found >= known.size] = _UNKNOWN_ROW
        return known[found]

    def beliefs(self, postings: Sequence[int], places: Iterable[Place] | None = None) -> Beliefs:
        """Posteriors of these postings, in this order; one never heard of has its prior.

        `places` are their markets and categories; without them they lie nowhere in particular.
        """
        if places is None or not self.priors.named:
            return self.beliefs_from(postings, np.zeros(len(postings), np.int64))
        return self.beliefs_from(postings, self.priors.lines_of(places))

    def beliefs_from(self, postings: Sequence[int], lines: Integers) -> Beliefs:
        """The same, where the lines of their priors are known."""
        rows, known = self.rows, self.exposures.shape[1]
        found = np.fromiter(
            (rows.get(posting, _UNKNOWN_ROW) for posting in postings), np.int64, len(postings)
        )
        found[found >= known] = _UNKNOWN_ROW
        exposures, successes = self.exposures[:, found], self.successes[:, found]
        priors = self.priors
        a, b = posteriors(priors.means[:, lines], priors.strengths[:, lines], exposures, successes)
        return Beliefs(
            np.fromiter(postings, np.int64, len(postings)),
            self.kinds,
            self.numbers,
            self.weights,
            priors,
            lines,
            exposures,
            successes,
            a,
            b,
        )


class Learner:
    """Takes absolute counts as they change and gives out evidence; one writer, many snapshots."""

    def __init__(self) -> None:
        self._book = Countbook()
        self._impressions = Impressions()
        self._last_hours: LastHours | None = None
        self._revision: Revision | None = None
        self._exposing = NOTHING_EXPOSED
        self._markets: Mapping[str, int] = {}
        self._fit: PriorFit | None = None
        self._priors: Priors | None = None
        self._rules = 0
        # By half-life; what is counted in most markets goes into the first.
        self._tables: dict[float | None, EvidenceTable] = {None: EvidenceTable((), 0)}
        self._kind_rows: dict[int, int] = {}

    def follow(
        self,
        revision: Revision,
        now_s: float,
        kept: Exposing | None = None,
        markets: Mapping[str, int] | None = None,
    ) -> None:
        """Derive evidence under this policy from now on; a rule that changed is applied to all counts.

        `kept` is how counts become evidence, as the policy says unless given; `markets` are numbers by id.
        """
        kept = exposing(revision.policy, None, markets) if kept is None else kept
        before = (self._exposing, self._kind_rows) if self._revision else None
        self._revision, self._markets, self._exposing = revision, markets or {}, kept
        self._priors = None
        self._kind_rows = {revision.kinds[name]: row for row, name in enumerate(revision.policy.kinds)}
        if before == (self._exposing, self._kind_rows):
            return
        hour = int(now_s // SECONDS_PER_HOUR)
        self._tables = {None: EvidenceTable(kept.rules, hour)}
        for half_life_hours in sorted(set(kept.half_lives.values())):
            self._tables[half_life_hours] = EvidenceTable(kept.rules_for(half_life_hours), hour)
        for lines in self._book.everything():
            self._add(lines)

    def assume(self, fit: PriorFit | None) -> None:
        """Believe this of what was not seen yet, from now on, if the policy asks for it."""
        if fit is not self._fit:
            self._fit, self._priors = fit, None

    def forget(self) -> None:
        """Nothing of what was learned is so."""
        self._book, self._impressions = Countbook(), Impressions()
        self._last_hours = None
        for table in self._tables.values():
            table.clear()

    def learn(self, rows: Iterable[CountRow]) -> set[int]:
        """Take the counts as they are now; the postings that changed. Repeats are harmless."""
        columns, changed = CountColumns.of(rows), set[int]()
        for lines in self._book.take(columns):
            self._add(lines)
            self._impressions.add(lines)
            if self._last_hours is not None:
                self._last_hours.add(lines)
            changed.update(columns.postings[lines.places].tolist())
        return changed

    def evidence(self, now_s: float) -> Evidence:
        """What is known at that time."""
        revision = self._revision
        if revision is None:
            raise ValueError("no policy is followed yet")
        if self._priors is None:
            self._priors = priors_of(revision, self._fit, self._markets)
            self._rules = number_of(tuple(self._kind_rows), self._exposing, self._priors)
        hours = now_s / SECONDS_PER_HOUR
        exposures, successes = _together([table.at(hours) for table in self._tables.values()])
        kinds = revision.policy.kinds
        return Evidence(
            tuple(kinds),
            tuple(revision.kinds[name] for name in kinds),
            tuple(kind.weight for kind in kinds.values()),
            self._priors,
            self._book.rows,
            _with_unknown(exposures),
            _with_unknown(successes),
            self._impressions.so_far(),
            self._exposing,
            self._rules,
        )

    def last_hours(self) -> LastHours:
        """What was shown lately, kept up from the first time that somebody asks."""
        if self._last_hours is None:
            self._last_hours = LastHours(self._book)
        return self._last_hours

    def _add(self, lines: Lines) -> None:
        if not self._exposing.half_lives:
            self._add_to(self._tables[None], lines, np.True_)
            return
        others = np.ones(lines.rows.size, np.bool)
        for half_life_hours, markets in markets_apart(self._exposing, lines.markets.tolist()).items():
            these = np.isin(lines.markets, sorted(markets))
            others &= ~these
            self._add_to(self._tables[half_life_hours], lines, these)
        self._add_to(self._tables[None], lines, others)

    def _add_to(self, table: EvidenceTable, lines: Lines, wanted: Booleans | np.bool) -> None:
        for kind in np.unique(lines.kinds).tolist():
            these = (lines.kinds == kind) & wanted
            if not these.any():
                continue
            rows, counts = lines.rows[these], lines.counts[these]
            if sign := self._exposing.sign_of(kind):
                table.add_impressions(rows, lines.bucket, lines.positions[these], sign * counts)
            elif kind in self._kind_rows:
                table.add_successes(rows, lines.bucket, self._kind_rows[kind], counts)


def _together(parts: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The sum of tables that know more or fewer rows."""
    if len(parts) == 1:
        return parts[0]
    size = max(exposures.shape[1] for exposures, _ in parts)
    sums = np.zeros((2, parts[0][0].shape[0], size))
    for part in parts:
        for total, columns in zip(sums, part, strict=True):
            total[:, : columns.shape[1]] += columns
    return sums[0], sums[1]


def _with_unknown(columns: Floats) -> Floats:
    """The row of postings never heard of is there also while none has been heard of."""
    return columns if columns.shape[1] > _UNKNOWN_ROW else np.zeros((columns.shape[0], 1))
