"""From items to a segment: many records at once, sorted, numbered and laid out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_catalogue.item import Item, ServedItem
from nearcast_replica.areas import outlines_of, sorted_in
from nearcast_replica.bands import band_of, class_of, fill_index, index_size, row_keys
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.layout import (
    BANDS,
    LATEST,
    NEVER,
    OWN_AREA,
    OWN_REACH,
    SEVERAL_PLACES,
    STATE_ROWS,
    STATE_SLOTS,
    TAG_BUCKETS,
    Array,
    Segment,
    Shape,
    allocate,
    segment_over,
    size_bytes,
)
from nearcast_replica.lookup import insert_all, table_size

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Items as columns, in any order; unix seconds, plus or minus infinity = always; reach NaN = none,
    infinity = an area.

    Places, tags, outlines and cold bytes of all items lie behind each other, `…_counts` of each item.
    """

    postings: Integers
    versions: Integers
    born_at: Floats
    starts_at: Floats
    expires_at: Floats
    reach_m: Floats
    category: Integers
    market: Integers
    hours: Integers
    place_counts: Integers
    lat: Floats
    lon: Floats
    tag_counts: Integers
    tags: Integers
    area_counts: Integers
    areas: Floats
    id_lengths: Integers
    cold_lengths: Integers
    cold: Bytes
    id_hashes: NDArray[np.uint64]
    owners: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Spare:
    """Room for what comes after a segment was built."""

    rows: int = 0
    slots: int = 0
    tags: int = 0
    places: int = 0


def records_of(
    served: Sequence[ServedItem], dictionaries: Dictionaries, messages: Sequence[bytes] | None = None
) -> Records:
    """The columns of these items; names they bring are added to the dictionaries."""
    from nearcast_replica.lookup import id_hash, owner_hash  # noqa: PLC0415

    items = [each.item for each in served]
    ids = [item.item_id.encode() for item in items]
    shown = messages if messages is not None else [b""] * len(ids)
    tag, places = dictionaries.tags.number, [place for item in items for place in item.places]
    outlines = outlines_of(item.reach_area for item in items)
    return Records(
        postings=_integers([each.posting for each in served]),
        versions=_integers([each.version for each in served]),
        born_at=_floats([each.born_at for each in served]),
        starts_at=_floats([-np.inf if item.starts_at is None else item.starts_at for item in items]),
        expires_at=_floats([np.inf if item.expires_at is None else item.expires_at for item in items]),
        reach_m=_floats([_reach_m(item) for item in items]),
        category=_integers([dictionaries.categories.number(item.category) for item in items]),
        market=_integers([dictionaries.markets.number(each.market) for each in served]),
        hours=_integers([dictionaries.hours.number(item.hours) for item in items]),
        place_counts=_integers([len(item.places) for item in items]),
        lat=_floats([place.latitude for place in places]),
        lon=_floats([place.longitude for place in places]),
        tag_counts=_integers([len(item.tags) for item in items]),
        tags=_integers([tag(each.name) for item in items for each in item.tags]),
        area_counts=_integers([outline.size for outline in outlines]),
        areas=np.concatenate([_floats([]), *outlines]),
        id_lengths=_integers([len(raw) for raw in ids]),
        cold_lengths=_integers([len(raw) + len(text) for raw, text in zip(ids, shown, strict=True)]),
        cold=np.frombuffer(
            b"".join(part for pair in zip(ids, shown, strict=True) for part in pair), np.uint8
        ),
        id_hashes=np.array([id_hash(raw) for raw in ids], np.uint64),
        owners=np.array([owner_hash(item.owner) for item in items], np.uint64),
    )


def _reach_m(item: Item) -> float:
    if item.reach_area:
        return np.inf
    return np.nan if item.reach_m is None else item.reach_m


def build_segment(
    records: Records,
    kinds: tuple[int, ...],
    spare: Spare | None = None,
    room: Callable[[int], Bytes] = allocate,
) -> Segment:
    """A segment of these items, in a buffer that `room` gives; statistics are left at zero.

    The order of slots is that of their first rows; `cold` is taken as it is, not copied.
    """
    spare = spare or Spare()
    rows = _sorted_rows(records)
    shape = _shape(records, rows, kinds, spare)
    segment = segment_over(room(size_bytes(shape)), shape, records.cold)
    _fill_rows(segment, records, rows)
    _fill_slots(segment, records, rows.items)
    _fill_tags(segment, records, rows.items)
    _fill_places(segment, records, rows)
    fill_index(segment, rows.cells)
    count = records.postings.size
    insert_all(segment["posting_table"], segment["posting"][:count].view(np.uint64))
    insert_all(segment["id_table"], records.id_hashes[rows.items])
    state = segment["state"]
    state[STATE_SLOTS], state[STATE_ROWS] = count, rows.order.size
    return segment


def pack_stats(a: Array, b: Array) -> NDArray[np.uint64]:
    """The words of A and B."""
    pairs = np.stack((a, b), axis=-1).astype("<f4")
    return np.ascontiguousarray(pairs).view("<u8")[..., 0]


def unpack_stats(words: Array) -> tuple[Floats, Floats]:
    """A and B of the words."""
    pairs = np.ascontiguousarray(words).view("<f4").reshape(*words.shape, 2).astype(np.float64)
    return pairs[..., 0], pairs[..., 1]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Places in the order of their rows, and items in the order of their slots."""

    order: Integers  # place of each row
    owner: Integers  # item of each place
    items: Integers  # item of each slot
    slot: Integers  # slot of each item
    lon: NDArray[np.float32]
    cells: Integers  # of each row


def _sorted_rows(records: Records) -> _Rows:
    count = records.postings.size
    owner = np.repeat(np.arange(count), records.place_counts)
    lon = records.lon.astype(np.float32)
    cells = class_of(records.reach_m)[owner] * BANDS + band_of(records.lat)
    if records.areas.size:
        begins = np.cumsum(records.area_counts) - records.area_counts
        own = np.flatnonzero(records.area_counts[owner])
        cells[own], lon[own] = sorted_in(records.areas, begins[owner[own]])
    order = np.argsort(row_keys(cells, lon), kind="stable")
    owned = owner[order]
    first = np.empty(count, np.int64)
    first[owned[::-1]] = np.arange(owned.size)[::-1]
    items = owned if owned.size == count else np.argsort(first, kind="stable")
    slot = np.empty(count, np.int64)
    slot[items] = np.arange(count)
    return _Rows(order, owner, items, slot, lon, cells[order])


def _shape(records: Records, rows: _Rows, kinds: tuple[int, ...], spare: Spare) -> Shape:
    pooled = _pooled(records)
    count = records.postings.size
    return Shape(
        rows=rows.order.size + spare.rows,
        sorted_rows=rows.order.size,
        slots=count + spare.slots,
        kinds=kinds,
        band_starts=index_size(rows.cells),
        tag_pool=1 + int(np.count_nonzero(records.tag_counts)) + records.tags.size + spare.tags,
        place_pool=1 + int(np.sum(1 + 2 * records.place_counts[pooled])) + records.areas.size + spare.places,
        id_table=table_size(count + spare.slots),
        posting_table=table_size(count + spare.slots),
    )


def _fill_rows(segment: Segment, records: Records, rows: _Rows) -> None:
    order, end = rows.order, rows.order.size
    lat, lon = records.lat[order], records.lon[order]
    segment["lon"][:end] = rows.lon[order]
    segment["row_lat"][:end], segment["row_lon"][:end] = lat, lon
    segment["x"][:end], segment["y"][:end], segment["z"][:end] = unit_vectors(lat, lon)
    segment["row_slot"][:end] = rows.slot[rows.owner[order]]
    starts = np.cumsum(records.place_counts) - records.place_counts
    segment["row_place"][:end] = (order - starts[rows.owner[order]]).astype(np.uint8)


def unit_vectors(lat: Floats, lon: Floats) -> tuple[Floats, Floats, Floats]:
    """The places on the unit sphere."""
    phi, lam = np.radians(lat), np.radians(lon)
    flat = np.cos(phi)
    return flat * np.cos(lam), flat * np.sin(lam), np.sin(phi)


def _fill_slots(segment: Segment, records: Records, items: Integers) -> None:
    end = items.size
    starts, expires = records.starts_at[items], records.expires_at[items]
    reach = records.reach_m[items]
    cold_begins = np.cumsum(records.cold_lengths) - records.cold_lengths
    several = np.where(records.place_counts[items] > 1, SEVERAL_PLACES, 0)
    by_area = np.where(records.area_counts[items] > 0, OWN_AREA, 0)
    filled = {
        "posting": records.postings[items],
        "version": records.versions[items],
        "born_at": records.born_at[items],
        "starts_at": starts,
        "expires_at": expires,
        "starts": np.clip(np.floor(starts), 0, NEVER),
        "expires": np.where(np.isposinf(expires), NEVER, np.clip(np.ceil(expires), 1, LATEST)),
        "reach_m": reach,
        "category": records.category[items],
        "market": records.market[items],
        "hours": records.hours[items],
        "flags": np.where(np.isnan(reach), 0, OWN_REACH) | several | by_area,
        "cold_offset": cold_begins[items],
        "cold_length": records.cold_lengths[items],
        "id_length": records.id_lengths[items],
        "id_hash": records.id_hashes[items],
        "owner": records.owners[items],
    }
    for name, values in filled.items():
        segment[name][:end] = values


def _fill_tags(segment: Segment, records: Records, items: Integers) -> None:
    """The pool begins with a count of none; items keep the order of their slots in it."""
    counts = records.tag_counts[items]
    tagged = np.flatnonzero(counts)
    if not tagged.size:
        return
    sizes = counts[tagged] + 1
    refs = np.cumsum(sizes) - sizes + 1
    pool = segment["tag_pool"]
    pool[refs] = counts[tagged]
    sources = (np.cumsum(records.tag_counts) - records.tag_counts)[items][tagged]
    lengths = counts[tagged]
    firsts = np.cumsum(lengths) - lengths
    within = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
    numbers = records.tags[np.repeat(sources, lengths) + within]
    pool[np.repeat(refs + 1, lengths) + within] = numbers
    segment["tag_ref"][tagged] = refs
    bits = np.left_shift(np.uint64(1), (numbers % TAG_BUCKETS).astype(np.uint64))
    segment["tag_mask"][tagged] = np.bitwise_or.reduceat(bits, firsts)


def _fill_places(segment: Segment, records: Records, rows: _Rows) -> None:
    counts, pooled = records.place_counts, np.flatnonzero(_pooled(records))
    if not pooled.size:
        return
    lengths, words = counts[pooled], records.area_counts[pooled]
    sizes = 1 + 2 * lengths + words
    refs = np.cumsum(sizes) - sizes + 1
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    sources = np.repeat((np.cumsum(counts) - counts)[pooled], lengths) + within
    spots = np.repeat(refs + 1, lengths) + 2 * within
    pool = segment["place_pool"]
    pool[refs] = lengths
    pool[spots], pool[spots + 1] = records.lat[sources], records.lon[sources]
    firsts = np.cumsum(words) - words
    pool[np.repeat(refs + 1 + 2 * lengths - firsts, words) + np.arange(records.areas.size)] = records.areas
    segment["place_ref"][rows.slot[pooled]] = refs


def _pooled(records: Records) -> NDArray[np.bool_]:
    """The items of which the place pool holds something."""
    return (records.place_counts > 1) | (records.area_counts > 0)


def _integers(values: Sequence[int]) -> Integers:
    return np.array(values, np.int64)


def _floats(values: Sequence[float]) -> Floats:
    return np.array(values, np.float64)
