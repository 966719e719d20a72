"""What is believed of every item: counts in, Beta posteriors out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.exposure import ExposureRule
from nearcast_bandit.posterior import Prior, posterior
from nearcast_config.policy import Policy
from nearcast_ledger.kinds import IMPRESSION
from nearcast_server.countbook import Countbook, Lines
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.protocol import CountRow
from nearcast_store.policies.protocol import Revision

SECONDS_PER_HOUR = 3600.0
_UNKNOWN_ROW = 0


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """Evidence and posteriors of some postings: a row for each kind, a column for each posting."""

    postings: Integers
    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    weights: tuple[float, ...]
    priors: tuple[Prior, ...]
    exposures: Floats
    successes: Floats
    a: Floats
    b: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is known at one moment, under one policy; never changed once made."""

    kinds: tuple[str, ...]
    numbers: tuple[int, ...]
    weights: tuple[float, ...]
    priors: tuple[Prior, ...]
    rows: Mapping[int, int]
    exposures: Floats
    successes: Floats

    def beliefs(self, postings: Sequence[int]) -> Beliefs:
        """Posteriors of these postings, in this order; one never heard of has its prior."""
        rows, known = self.rows, self.exposures.shape[1]
        found = np.fromiter(
            (rows.get(posting, _UNKNOWN_ROW) for posting in postings), np.int64, len(postings)
        )
        found[found >= known] = _UNKNOWN_ROW
        exposures, successes = self.exposures[:, found], self.successes[:, found]
        a, b = np.empty_like(exposures), np.empty_like(successes)
        for kind, prior in enumerate(self.priors):
            a[kind], b[kind] = posterior(prior, exposures[kind], successes[kind])
        return Beliefs(
            np.fromiter(postings, np.int64, len(postings)),
            self.kinds,
            self.numbers,
            self.weights,
            self.priors,
            exposures,
            successes,
            a,
            b,
        )


class Learner:
    """Takes absolute counts as they change and gives out evidence; one writer, many snapshots."""

    def __init__(self) -> None:
        self._book = Countbook()
        self._revision: Revision | None = None
        self._table = EvidenceTable((), 0)
        self._kind_rows: dict[int, int] = {}

    def follow(self, revision: Revision, now_s: float) -> None:
        """Derive evidence under this policy from now on; a rule that changed is applied to all counts."""
        before, self._revision = self._revision, revision
        if before is not None and _rules(before) == _rules(revision):
            return
        self._kind_rows = {revision.kinds[name]: row for row, name in enumerate(revision.policy.kinds)}
        self._table = EvidenceTable(exposure_rules(revision.policy), int(now_s // SECONDS_PER_HOUR))
        for lines in self._book.everything():
            self._add(lines)

    def forget(self) -> None:
        """Nothing of what was learned is so."""
        self._book = Countbook()
        self._table.clear()

    def learn(self, rows: Iterable[CountRow]) -> set[int]:
        """Take the counts as they are now; the postings that changed. Repeats are harmless."""
        columns, changed = CountColumns.of(rows), set[int]()
        for lines in self._book.take(columns):
            self._add(lines)
            changed.update(columns.postings[lines.places].tolist())
        return changed

    def evidence(self, now_s: float) -> Evidence:
        """What is known at that time."""
        revision = self._revision
        if revision is None:
            raise ValueError("no policy is followed yet")
        exposures, successes = self._table.at(now_s / SECONDS_PER_HOUR)
        kinds = revision.policy.kinds
        return Evidence(
            tuple(kinds),
            tuple(revision.kinds[name] for name in kinds),
            tuple(kind.weight for kind in kinds.values()),
            tuple(Prior(kind.prior_mean, kind.prior_strength) for kind in kinds.values()),
            self._book.rows,
            _with_unknown(exposures),
            _with_unknown(successes),
        )

    def _add(self, lines: Lines) -> None:
        for kind in np.unique(lines.kinds).tolist():
            these = lines.kinds == kind
            rows, counts = lines.rows[these], lines.counts[these]
            if kind == IMPRESSION:
                self._table.add_impressions(rows, lines.bucket, lines.positions[these], counts)
            elif kind in self._kind_rows:
                self._table.add_successes(rows, lines.bucket, self._kind_rows[kind], counts)


def _with_unknown(columns: Floats) -> Floats:
    """The row of postings never heard of is there also while none has been heard of."""
    return columns if columns.shape[1] > _UNKNOWN_ROW else np.zeros((columns.shape[0], 1))


def _rules(revision: Revision) -> tuple[tuple[ExposureRule, ...], tuple[int, ...]]:
    """All that a table depends on."""
    return exposure_rules(revision.policy), tuple(revision.kinds[name] for name in revision.policy.kinds)


def exposure_rules(policy: Policy) -> tuple[ExposureRule, ...]:
    """How impressions become evidence of each kind."""
    curve = policy.exposure.position_curve if policy.exposure.mode == "pbm" else ()
    return tuple(
        ExposureRule(curve, kind.maturity_hours, policy.exposure.half_life_hours)
        for kind in policy.kinds.values()
    )
