"""Ledger rows as columns: thousands of events are put in order, and looked at, in a few steps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.identity import identity_of, implied_impression
from nearcast_ledger.kinds import IMPRESSION
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.errors import DataRefusedError
from nearcast_store.log.packing import (
    DECISION,
    EVENT,
    NO_DECISION,
    NO_DWELL,
    NO_TIME_US,
    NOTHING_SAID,
    Packed,
    claims_of,
    event_of,
    pack_events,
)

Column = NDArray[Any]

ROW = np.dtype(
    [
        # Who it is: the two halves of the id that it is known by, then posting and kind if it has claims.
        ("high", "u8"),
        ("low", "u8"),
        ("identity_posting", "i8"),
        ("identity_kind", "i4"),
        # Where the rest is found, and which event of its source it is; -1 is nowhere.
        ("decision", "i4"),
        ("detail", "i4"),
        ("source", "i4"),
        ("index", "i4"),
        ("posting", "i8"),
        ("occurred_at_us", "i8"),
        ("dwell_ms", "i8"),
        ("position", "i4"),
        ("kind", "i4"),
        ("unlearned", "u1"),
        ("claimed", "?"),
        ("implied", "?"),
        ("rewards_feed", "?"),
        ("cascades", "?"),
    ]
)
"""One row; times are NO_TIME_US and dwells -1 when there are none."""

_NOBODYS = bytes(DECISION.itemsize)
_MS_PER_HOUR = 3_600_000
_HOURS_PER_DAY = 24
# No more decisions than can be told apart in one part.
_MOST_AT_ONCE = 10_000


class Source(NamedTuple):
    """What the events of one entry share."""

    tenant_id: int
    received_at_us: int
    gateway_id: str
    durability: Durability
    shard: int


class Part(NamedTuple):
    """Packed events of one source; `indexes` says which of its events they are, None that they are all."""

    source: int
    packed: Packed
    indexes: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LedgerRows(Sequence[LedgerRow]):
    """Rows as ROW; each is made into a LedgerRow when it is asked for.

    The last of the `decisions` is nobody's. `details` hold what events said beyond the columns. `ordered`:
    each identity is there once, and they are sorted by it.
    """

    rows: Column
    decisions: Column
    sources: Sequence[Source]
    details: Sequence[AcceptedEvent]
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> LedgerRow: ...
    @overload
    def __getitem__(self, place: slice) -> "LedgerRows": ...
    def __getitem__(self, place: int | slice) -> "LedgerRow | LedgerRows":
        if isinstance(place, slice):
            return self.where(place)
        return self._row(range(len(self))[place])

    def where(self, wanted: Any) -> "LedgerRows":
        """Those rows, as numpy selects them; in the order that they have."""
        return LedgerRows(self.rows[wanted], self.decisions, self.sources, self.details, self.ordered)

    def decided(self, name: str) -> Column:
        """A field of each row's decision."""
        column: Column = self.decisions[name][self.rows["decision"]]
        return column

    def shared(self, name: str) -> Column:
        """A number of each row's source."""
        numbers = np.array([getattr(each, name) for each in self.sources], np.int64)
        column: Column = numbers[self.rows["source"]]
        return column

    def event(self, place: int) -> AcceptedEvent:
        """What was reported, or is implied."""
        row = self.rows[place]
        claims = None
        if row["claimed"]:
            decision = self.decisions[row["decision"]].tobytes()
            tenant_id = self.sources[row["source"]].tenant_id
            claims = claims_of(tenant_id, int(row["posting"]), int(row["position"]), decision)
        said = self.details[row["detail"]] if row["detail"] >= 0 else NOTHING_SAID
        dwell_ms = int(row["dwell_ms"]) if row["dwell_ms"] >= 0 else NO_DWELL
        kind, occurred_at_us = int(row["kind"]), int(row["occurred_at_us"])
        return event_of(kind, int(row["unlearned"]), claims, said, occurred_at_us, dwell_ms)

    def days(self) -> Column:
        """The identity's day of each row, in days since the Unix epoch."""
        days: Column = hours_of(self.rows["high"]) // _HOURS_PER_DAY
        return days

    def reported(self) -> dict[tuple[int, int], int]:
        """How many are not implied, by tenant and shard."""
        counts: Counter[tuple[int, int]] = Counter()
        sources = self.rows["source"][~self.rows["implied"]]
        for place, count in enumerate(np.bincount(sources).tolist()):
            counts[self.sources[place].tenant_id, self.sources[place].shard] += count
        return {shard: count for shard, count in counts.items() if count}

    def in_order(self) -> "LedgerRows":
        """Each identity once, sorted: learned before unlearned, reported before implied, longest dwell."""
        rows = self.rows
        if self.ordered or not len(rows):
            return self
        precedence = np.where(rows["unlearned"] != Unlearned.LEARNED, 2, rows["implied"])
        identity = (
            *(rows["identity_kind"], rows["identity_posting"], rows["low"], rows["high"]),
            self.shared("tenant_id"),
        )
        order = np.lexsort((precedence, *identity))
        first = np.ones(len(rows), np.bool_)
        first[1:] = np.logical_or.reduce([each[order[1:]] != each[order[:-1]] for each in identity])
        chosen = rows[order[first]]
        if len(chosen) < len(rows) and rows["dwell_ms"].max() >= 0:
            chosen["dwell_ms"] = np.maximum.reduceat(rows["dwell_ms"][order], np.flatnonzero(first))
        return LedgerRows(chosen, self.decisions, self.sources, self.details, ordered=True)

    def with_implied(self) -> "LedgerRows":
        """With the impressions that learned acts prove."""
        rows = self.rows
        acts = rows["claimed"] & (rows["unlearned"] == Unlearned.LEARNED) & (rows["kind"] != IMPRESSION)
        if not acts.any():
            return self
        implied = rows[acts]
        implied["kind"] = implied["identity_kind"] = IMPRESSION
        implied["occurred_at_us"], implied["dwell_ms"] = NO_TIME_US, -1
        implied["implied"], implied["rewards_feed"] = True, False
        details = list(self.details)
        saying = np.flatnonzero(acts)
        for place in np.flatnonzero(implied["detail"] >= 0):
            impression = implied_impression(self.event(saying[place]))
            if impression is not None:
                implied["detail"][place] = len(details)
                details.append(impression)
        return LedgerRows(np.concatenate((rows, implied)), self.decisions, self.sources, details)

    def _row(self, place: int) -> LedgerRow:
        row = self.rows[place]
        source, event = self.sources[row["source"]], self.event(place)
        return LedgerRow(
            identity=identity_of(source.tenant_id, event),
            event=event,
            implied=bool(row["implied"]),
            received_at_us=source.received_at_us,
            gateway_id=source.gateway_id,
            durability=source.durability,
            rewards_feed=bool(row["rewards_feed"]),
            shard=source.shard,
            cascades=bool(row["cascades"]),
        )


def unpack_rows(parts: Sequence[Part], sources: Sequence[Source]) -> LedgerRows:
    """A row for each event, in order; none of them is implied, rewards a feed or cascades as yet."""
    events = np.frombuffer(b"".join([part.packed.events for part in parts]), EVENT)
    decisions = np.frombuffer(b"".join([part.packed.decisions for part in parts] + [_NOBODYS]), DECISION)
    sizes = [part.packed.size for part in parts]
    known = [len(part.packed.decisions) // DECISION.itemsize for part in parts]
    details = [said for part in parts for said in part.packed.details]
    rows = np.zeros(len(events), ROW)
    for name in ("posting", "position", "kind", "unlearned", "occurred_at_us"):
        rows[name] = events[name]
    rows["claimed"] = claimed = events["decision"] != NO_DECISION
    rows["decision"] = np.where(claimed, events["decision"] + _starts(known, sizes), -1)
    said = _starts([len(part.packed.details) for part in parts], sizes)
    rows["detail"] = np.where(events["detail"] > 0, events["detail"] + said - 1, -1)
    rows["dwell_ms"] = np.where(events["dwell_ms"] == NO_DWELL, -1, events["dwell_ms"].astype(np.int64))
    rows["source"] = np.repeat([part.source for part in parts], sizes)
    rows["index"] = [
        index
        for part, size in zip(parts, sizes, strict=True)
        for index in (range(size) if part.indexes is None else part.indexes)
    ]
    decided = decisions[rows["decision"]]
    for half in ("high", "low"):
        rows[half] = np.where(claimed, decided[half], 0)
    rows["identity_posting"] = rows["posting"]
    rows["identity_kind"] = np.where(claimed, events["kind"], 0)
    for place in np.flatnonzero(~claimed & (rows["detail"] >= 0)):
        event_id = details[rows["detail"][place]].event_id
        if event_id is not None:
            rows["high"][place], rows["low"][place] = divmod(event_id.int, 2**64)
    return LedgerRows(rows, decisions, sources, details)


def columns_of(rows: Sequence[LedgerRow]) -> LedgerRows:
    """The same rows, in the same order. Raises DataRefusedError for what has no place in a row."""
    if isinstance(rows, LedgerRows):
        return rows
    sources: dict[Source, int] = {}
    parts = []
    for start in range(0, len(rows), _MOST_AT_ONCE):
        for source, group in groupby(rows[start : start + _MOST_AT_ONCE], _source):
            packed = pack_events([row.event for row in group])
            if packed is None:
                raise DataRefusedError("a number of these events has no place in the ledger")
            parts.append(Part(sources.setdefault(source, len(sources)), packed))
    columns = unpack_rows(parts, list(sources))
    for name in ("implied", "rewards_feed", "cascades"):
        columns.rows[name] = [getattr(row, name) for row in rows]
    return columns


def ms_of(high: Column) -> Column:
    """Milliseconds since the Unix epoch, from the upper halves of UUIDs that carry their time."""
    ms: Column = (high >> np.uint64(16)).astype(np.int64)
    return ms


def hours_of(high: Column) -> Column:
    """Whole hours, likewise."""
    hours: Column = ms_of(high) // _MS_PER_HOUR
    return hours


def _source(row: LedgerRow) -> Source:
    return Source(row.identity.tenant_id, row.received_at_us, row.gateway_id, row.durability, row.shard)


def _starts(counts: Sequence[int], sizes: Sequence[int]) -> Column:
    """For each of so many rows of a part how much lies in the parts before it."""
    return np.repeat(np.cumsum([0, *counts])[:-1], sizes)
