"""A generation that its writer brings forward: what is new goes behind the rest, and then is published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.cold import ColdFile
from nearcast_replica.columns import build_segment, records_of
from nearcast_replica.generation import Generation
from nearcast_replica.layout import (
    ANY_CHORD2,
    COLUMNS,
    DEAD,
    REPLACES,
    STATE_COLD,
    STATE_NAMES,
    STATE_PLACE_POOL,
    STATE_ROWS,
    STATE_RULES,
    STATE_SEQUENCE,
    STATE_SLOTS,
    STATE_TAG_POOL,
    Array,
    Scope,
    Segment,
)
from nearcast_replica.lookup import insert, slot_of_posting, slots_of_postings
from nearcast_replica.names import NamesWritten

# The tail is searched by distances in 32 bits; what is found is measured again.
_REACH_MARGIN_M = 5.0
_SLOT_COLUMNS = [column.name for column in COLUMNS if column.scope is Scope.SLOT]
_ROW_COLUMNS = [column.name for column in COLUMNS if column.scope is Scope.ROW]


class Words(NamedTuple):
    """Statistics of one kind: a packed word of A and B for each posting."""

    kind: int
    postings: NDArray[np.int64]
    words: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Ends:
    """How much of everything is used."""

    slots: int
    rows: int
    tag_pool: int
    place_pool: int


class GrowingGeneration:
    """The writer's side of one generation; one thread at a time."""

    def __init__(self, generation: Generation, cold: ColdFile) -> None:
        self.generation = generation
        self.cold = cold
        self._dictionaries = generation.dictionaries()
        self._names = NamesWritten(self._dictionaries)
        self._names.note_written()
        self._kinds = {kind: row for row, kind in enumerate(generation.segment.shape.kinds)}

    @property
    def segment(self) -> Segment:
        return self.generation.segment

    @property
    def sequence(self) -> int:
        """The last change that is in it."""
        return int(self.segment["state"][STATE_SEQUENCE])

    @property
    def pending(self) -> int:
        """How many rows are behind the sorted ones."""
        return self.segment.rows - self.segment.shape.sorted_rows

    @property
    def rules(self) -> int:
        """The number of the rules by which all its statistics were derived, as whoever told them has it."""
        return int(self.segment["state"][STATE_RULES])

    def forget(self, rules: int) -> None:
        """All statistics, which will be told by these rules. Not once it is served."""
        self.segment["stats"][:] = 0
        self.segment["state"][STATE_RULES] = rules

    def apply(self, changes: Sequence[SegmentChange]) -> Applied | Unfit:
        """Bring it forward by changes that follow each other; all of them at once, or none."""
        expected = self.sequence + 1
        for change, wanted in zip(changes, range(expected, expected + len(changes)), strict=True):
            if change.sequence != wanted:
                reason: Literal["gap", "rollback"] = "gap" if change.sequence > wanted else "rollback"
                return Unfit(reason, wanted, change.sequence)
        last = {change.posting: change for change in changes}
        births = [change for change in last.values() if change.served is not None]
        old = [slot for slot in map(self._living_slot, last) if slot is not None]
        if births and not self._append(births):
            return Unfit("full", expected, expected)
        self.segment["expires"][old] = DEAD
        sequence = changes[-1].sequence if changes else expected - 1
        self.segment["state"][STATE_SEQUENCE] = sequence
        return Applied(sequence)

    def put_statistics(self, told: Words) -> None:
        """Store one word for each posting that lives here."""
        stats = self.segment["stats"][self._kinds[told.kind]]
        slots = slots_of_postings(self.segment, told.postings)
        lives = (slots >= 0) & (self.segment["expires"][slots] != DEAD)
        # Of aligned words numpy stores each whole.
        stats[slots[lives]] = told.words[lives]

    def postings(self) -> list[int]:
        """Of all that lives here."""
        used = int(self.segment["state"][STATE_SLOTS])
        lives = self.segment["expires"][:used] != DEAD
        found: list[int] = self.segment["posting"][:used][lives].tolist()
        return found

    def slots_of(self, postings: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slots of those of them that live here."""
        slots = slots_of_postings(self.segment, postings)
        found = slots[slots >= 0].astype(np.int64)
        living: NDArray[np.int64] = found[self.segment["expires"][found] != DEAD]
        return living

    def places_of(self, slots: NDArray[np.int64]) -> tuple[list[tuple[int, str]], NDArray[np.integer[Any]]]:
        """Each different market and category among them, and which of those every slot has."""
        codes = self.segment["market"][slots].astype(np.int64) << 32 | self.segment["category"][slots]
        different, which = np.unique(codes, return_inverse=True)
        markets, categories = self._dictionaries.markets.names, self._dictionaries.categories.names
        places = [(markets[code >> 32], categories[code & 0xFFFFFFFF]) for code in different.tolist()]
        return places, which

    def _living_slot(self, posting: int) -> int | None:
        slot = slot_of_posting(self.segment, posting)
        return None if slot is None or self.segment["expires"][slot] == DEAD else slot

    def _append(self, births: Sequence[SegmentChange]) -> bool:
        """Whether there was room. What is half written when there was none is overwritten by the next."""
        served = [change.served for change in births if change.served is not None]
        messages = [change.message for change in births]
        records = records_of(served, self._dictionaries, messages)
        batch = build_segment(records, self.segment.shape.kinds)
        ends = self._ends_with(batch)
        if ends is None or not self._write_names():
            return False
        if self.cold.used + records.cold.size > self.generation.description.cold_bytes:
            return False
        self._fill(batch, self.cold.append([records.cold.data]))
        self._tell(slice(self._ends().slots, ends.slots), births)
        self._publish(ends)
        return True

    def _ends(self) -> _Ends:
        state = self.segment["state"]
        return _Ends(
            *(int(state[word]) for word in (STATE_SLOTS, STATE_ROWS, STATE_TAG_POOL, STATE_PLACE_POOL))
        )

    def _ends_with(self, batch: Segment) -> _Ends | None:
        """None when it does not fit. The first entry of a pool is never referred to, and is not copied."""
        shape, ends = self.segment.shape, self._ends()
        after = _Ends(
            ends.slots + batch.slots,
            ends.rows + batch.rows,
            ends.tag_pool + batch.shape.tag_pool - 1,
            ends.place_pool + batch.shape.place_pool - 1,
        )
        fits = (
            after.slots <= shape.slots
            and after.rows <= shape.rows
            and after.tag_pool <= shape.tag_pool
            and after.place_pool <= shape.place_pool
        )
        return after if fits else None

    def _write_names(self) -> bool:
        """Names are published before any slot has their number."""
        missing = self._names.missing()
        state, names = self.segment["state"], self.generation.names
        begin = int(state[STATE_NAMES])
        end = begin + len(missing)
        if end > names.size:
            return False
        names[begin:end] = np.frombuffer(missing, np.uint8)
        self._names.note_written()
        state[STATE_NAMES] = end
        return True

    def _fill(self, batch: Segment, cold_begin: int) -> None:
        """Pools, then slots, then rows; nobody looks there yet."""
        segment, ends = self.segment, self._ends()
        slots, rows = slice(ends.slots, ends.slots + batch.slots), slice(ends.rows, ends.rows + batch.rows)
        _copy_pool(segment["tag_pool"], ends.tag_pool, batch["tag_pool"])
        _copy_pool(segment["place_pool"], ends.place_pool, batch["place_pool"])
        for name in _SLOT_COLUMNS:
            segment[name][slots] = batch[name][: batch.slots]
        segment["cold_offset"][slots] += np.uint64(cold_begin)
        tagged = batch["tag_ref"][: batch.slots] > 0
        segment["tag_ref"][slots][tagged] += np.uint32(ends.tag_pool - 1)
        pooled = batch["place_ref"][: batch.slots] > 0
        segment["place_ref"][slots][pooled] += np.uint32(ends.place_pool - 1)
        for name in _ROW_COLUMNS:
            segment[name][rows] = batch[name][: batch.rows]
        segment["row_slot"][rows] += ends.slots
        tail = slice(rows.start - segment.shape.sorted_rows, rows.stop - segment.shape.sorted_rows)
        segment["tail_chord2"][tail] = tail_chords(batch["reach_m"][batch["row_slot"][: batch.rows]])
        self._inherit(slots)

    def _inherit(self, slots: slice) -> None:
        """What replaces another slot says so, and goes on with its statistics."""
        segment = self.segment
        for slot, posting in enumerate(segment["posting"][slots].tolist(), slots.start):
            old = self._living_slot(posting)
            if old is not None:
                segment["flags"][slot] |= REPLACES
                segment["stats"][:, slot] = segment["stats"][:, old]
            else:
                segment["stats"][:, slot] = 0

    def _tell(self, slots: slice, births: Sequence[SegmentChange]) -> None:
        """Statistics that came with what is born are there before anybody finds it."""
        words = {change.posting: change.words for change in births if change.words}
        if not words:
            return
        for slot, posting in enumerate(self.segment["posting"][slots].tolist(), slots.start):
            if posting in words:
                self.segment["stats"][:, slot] = words[posting]

    def _publish(self, ends: _Ends) -> None:
        """Until the very last store no reader finds what is new."""
        segment, state = self.segment, self.segment["state"]
        for slot in range(int(state[STATE_SLOTS]), ends.slots):
            insert(segment["id_table"], int(segment["id_hash"][slot]), slot)
            insert(segment["posting_table"], int(segment["posting"][slot]), slot)
        state[STATE_TAG_POOL], state[STATE_PLACE_POOL] = ends.tag_pool, ends.place_pool
        state[STATE_COLD] = self.cold.used
        state[STATE_SLOTS] = ends.slots
        state[STATE_ROWS] = ends.rows


def tail_chords(reach_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """How far each row of the tail is found from, as squared chords; below zero for a row without a reach.

    Of an area everybody has to look: beyond any chord there is.
    """
    arcs = np.minimum((reach_m + _REACH_MARGIN_M) / (2.0 * EARTH_RADIUS_M), np.pi / 2.0)
    chords = (2.0 * np.sin(arcs)) ** 2
    chords[np.isinf(reach_m)] = ANY_CHORD2
    return np.where(np.isnan(reach_m), -1.0, chords).astype(np.float32)


def _copy_pool(pool: Array, begin: int, more: Array) -> None:
    pool[begin : begin + more.size - 1] = more[1:]
