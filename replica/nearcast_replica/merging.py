"""The next generation from the one before: what lives, with the tail sorted in, column by column."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast_replica.areas import outline_begins, sorted_in
from nearcast_replica.bands import (
    band_of,
    cells_of,
    class_of,
    fill_index,
    index_size,
    indexed_cells,
    row_keys,
)
from nearcast_replica.cold import ColdFile
from nearcast_replica.files import Files
from nearcast_replica.generation import GenerationFile
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.layout import (
    BANDS,
    COLUMNS,
    DEAD,
    OWN_AREA,
    REPLACES,
    STATE_COLD,
    STATE_NAMES,
    STATE_PLACE_POOL,
    STATE_ROWS,
    STATE_SLOTS,
    STATE_TAG_POOL,
    Array,
    Scope,
    Segment,
    Shape,
    segment_over,
    size_bytes,
)
from nearcast_replica.lookup import insert_all, table_size
from nearcast_replica.sizing import Reserve

Integers = NDArray[np.int64]

_COLD_WORTH_COMPACTING = 16 << 20
_COPIED_AT_ONCE = 1 << 20
_SLOT_COLUMNS = [column.name for column in COLUMNS if column.scope is Scope.SLOT and column.name != "expires"]
_ROW_COLUMNS = [column.name for column in COLUMNS if column.scope is Scope.ROW and column.name != "row_slot"]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """The old row of each new row, the old slot of each new slot, and the pools."""

    rows: Integers
    cells: Integers
    slots: Integers
    row_slot: NDArray[np.int32]
    tags: "_Pool"
    places: "_Pool"
    outlines: int


class Merge:
    """Made by the writer's thread; `run` may be in another while the old generation goes on.

    What the old one is told meanwhile is not in the new one, and must be told again.
    """

    def __init__(self, old: GrowingGeneration, files: Files, number: int, reserve: Reserve) -> None:
        self._old = old
        self._files = files
        self._number = number
        self._reserve = reserve
        self._state = old.segment["state"].copy()
        self._expires = old.segment["expires"][: int(self._state[STATE_SLOTS])].copy()
        self._cold = old.cold
        self._cold.reserve(reserve.cold_bytes(self._cold.used))
        self._capacity = self._cold.capacity
        self._file: GenerationFile | None = None

    def run(self) -> GrowingGeneration:
        """The new generation, as of when the merge was made. Raises OSError where there is no room."""
        old, plan = self._old.segment, _plan(self._old.segment, self._state, self._expires)
        shape = self._shape(plan)
        names = self._old.generation.names[: int(self._state[STATE_NAMES])]
        self._file = GenerationFile(
            self._files.generation(self._number), self._reserve.names_bytes(names.size)
        )
        segment = segment_over(self._file.room(size_bytes(shape)), shape, old.cold)
        _fill(segment, old, plan)
        np.take(self._expires, plan.slots, out=segment["expires"][: plan.slots.size], mode="clip")
        state = segment["state"]
        state[:] = self._state
        state[STATE_SLOTS], state[STATE_ROWS] = plan.slots.size, plan.rows.size
        state[STATE_TAG_POOL], state[STATE_PLACE_POOL] = plan.tags.used, plan.places.used
        self._compact_cold(segment, plan.slots.size)
        described = msgspec.structs.replace(
            self._old.generation.description,
            number=self._number,
            shape=shape,
            cold_name=self._cold.path.name,
            cold_bytes=self._capacity,
        )
        generation = self._file.finish(described, self._cold.path)
        generation.names[: names.size] = names
        return GrowingGeneration(generation, self._cold)

    def discard(self) -> None:
        """Nobody will need it; not while it runs."""
        if self._file is not None:
            self._file.discard()
        if self._cold is not self._old.cold:
            self._cold.discard()

    def _shape(self, plan: _Plan) -> Shape:
        slots, rows = plan.slots.size, plan.rows.size
        spare = self._reserve.spare(slots, rows, plan.tags.used, plan.outlines)
        return Shape(
            rows=rows + spare.rows,
            sorted_rows=rows,
            slots=slots + spare.slots,
            kinds=self._old.segment.shape.kinds,
            band_starts=index_size(plan.cells),
            tag_pool=plan.tags.used + spare.tags,
            place_pool=plan.places.used + spare.places,
            id_table=table_size(slots + spare.slots),
            posting_table=table_size(slots + spare.slots),
        )

    def _compact_cold(self, segment: Segment, slots: int) -> None:
        """Only when most of the bytes are of items that are gone: until then they stay where they are."""
        lengths = segment["cold_length"][:slots].astype(np.uint64)
        used = int(self._state[STATE_COLD])
        if used < max(2 * int(lengths.sum()), _COLD_WORTH_COMPACTING):
            return
        self._cold = ColdFile.create(self._files.cold(self._files.cold_name(self._number)))
        begins = segment["cold_offset"][:slots]
        begins[:] = self._cold.copy_from(self._old.segment.cold, begins, lengths)
        segment["state"][STATE_COLD] = self._cold.used
        self._cold.reserve(self._reserve.cold_bytes(self._cold.used))
        self._capacity = self._cold.capacity


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Where each entry of a pool comes from, and what the new slots refer to; None: all stays as it is."""

    used: int
    refs: NDArray[np.uint32] | None
    sources: Integers | None


def _plan(old: Segment, state: Array, expires: NDArray[np.uint32]) -> _Plan:
    rows, slots = int(state[STATE_ROWS]), expires.size
    order, cells = _ordered_rows(old, rows, expires != DEAD)
    owners = old["row_slot"][order].astype(np.int64)
    chosen = _first_of_each(owners, slots)
    numbers = np.empty(slots, np.int32)
    numbers[chosen] = np.arange(chosen.size, dtype=np.int32)
    tag_refs, place_refs = old["tag_ref"][chosen], old["place_ref"][chosen]
    tag_counts, place_counts = old["tag_pool"][tag_refs], old["place_pool"][place_refs].astype(np.int64)
    words = _outline_words(old, chosen)
    tags = _pool(int(state[STATE_TAG_POOL]), tag_refs, 1 + tag_counts.astype(np.int64))
    places = _pool(int(state[STATE_PLACE_POOL]), place_refs, 1 + 2 * place_counts + words)
    return _Plan(order, cells, chosen, numbers[owners], tags, places, int(words.sum()))


def _outline_words(old: Segment, slots: Integers) -> Integers:
    """How many words of the place pool are the outline of each item's area."""
    words = np.zeros(slots.size, np.int64)
    own = np.flatnonzero(old["flags"][slots] & OWN_AREA)
    pool = old["place_pool"]
    words[own] = pool[outline_begins(pool, old["place_ref"][slots[own]])].astype(np.int64)
    return words


def _ordered_rows(old: Segment, rows: int, lives: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """The rows of items that live, in their order, with the cell of each."""
    end = old.shape.sorted_rows
    kept = np.flatnonzero(lives[old["row_slot"][:end]])
    kept_keys = row_keys(indexed_cells(old), old["lon"][:end])[kept]
    tail = end + np.flatnonzero(lives[old["row_slot"][end:rows]])
    cells = _tail_cells(old, tail)
    tail_keys = row_keys(cells, old["lon"][tail])
    by_key = np.argsort(tail_keys, kind="stable")
    tail, tail_keys = tail[by_key], tail_keys[by_key]
    at = np.searchsorted(kept_keys, tail_keys)
    return np.insert(kept, at, tail), cells_of(np.insert(kept_keys, at, tail_keys))


def _tail_cells(old: Segment, tail: Integers) -> Integers:
    slots = old["row_slot"][tail]
    cells = class_of(old["reach_m"][slots]) * BANDS + band_of(old["row_lat"][tail])
    own = np.flatnonzero(old["flags"][slots] & OWN_AREA)
    if own.size:
        pool = old["place_pool"]
        cells[own] = sorted_in(pool, outline_begins(pool, old["place_ref"][slots[own]]))[0]
    return cells


def _first_of_each(owners: Integers, slots: int) -> Integers:
    """The slots in the order of their first rows."""
    first = np.empty(slots, np.int64)
    first[owners[::-1]] = np.arange(owners.size)[::-1]
    chosen: Integers = owners[first[owners] == np.arange(owners.size)]
    return chosen


def _pool(used: int, refs: NDArray[np.uint32], lengths: Integers) -> _Pool:
    """Copied as it is, unless most of it belongs to items that are gone."""
    held = np.flatnonzero(refs)
    lengths = lengths[held]
    needed = 1 + int(lengths.sum())
    if used <= 2 * needed:
        return _Pool(used, None, None)
    firsts = np.cumsum(lengths) - lengths
    moved = np.zeros(refs.size, np.uint32)
    moved[held] = 1 + firsts
    sources = np.repeat(refs[held].astype(np.int64) - firsts, lengths) + np.arange(needed - 1)
    return _Pool(needed, moved, sources)


def _fill(segment: Segment, old: Segment, plan: _Plan) -> None:
    for name in _ROW_COLUMNS:
        _gather(old[name], plan.rows, segment[name])
    segment["row_slot"][: plan.rows.size] = plan.row_slot
    for name in _SLOT_COLUMNS:
        _gather(old[name], plan.slots, segment[name])
    segment["flags"][: plan.slots.size] &= np.uint16(0xFFFF ^ REPLACES)
    for before, after in zip(old["stats"], segment["stats"], strict=True):
        _gather(before, plan.slots, after)
    _fill_pool(segment, old, plan.tags, "tag")
    _fill_pool(segment, old, plan.places, "place")
    fill_index(segment, plan.cells)
    count = plan.slots.size
    insert_all(segment["posting_table"], segment["posting"][:count].view(np.uint64))
    insert_all(segment["id_table"], segment["id_hash"][:count].astype(np.uint64))


def _fill_pool(segment: Segment, old: Segment, pool: _Pool, name: str) -> None:
    source, target = old[f"{name}_pool"], segment[f"{name}_pool"]
    if pool.sources is None or pool.refs is None:
        target[: pool.used] = source[: pool.used]
        return
    _gather(source, pool.sources, target[1:])
    segment[f"{name}_ref"][: pool.refs.size] = pool.refs


def _gather(source: Array, order: Integers, target: Array) -> None:
    """In stretches, so that other threads get their turn."""
    for begin in range(0, order.size, _COPIED_AT_ONCE):
        part = order[begin : begin + _COPIED_AT_ONCE]
        np.take(source, part, out=target[begin : begin + part.size], mode="clip")
