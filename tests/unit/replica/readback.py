"""What the columns of a segment say, as items again."""

from collections import defaultdict
from typing import Any

import numpy as np

from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_replica.areas import outline_at, outlines_of, sorted_in
from nearcast_replica.bands import band_of, class_of, indexed_cells, row_keys
from nearcast_replica.columns import unit_vectors
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.layout import (
    BANDS,
    DEAD,
    LATEST,
    NEVER,
    OWN_AREA,
    OWN_REACH,
    SEVERAL_PLACES,
    TAG_BUCKETS,
    Segment,
)
from nearcast_replica.lookup import slot_of_id, slot_of_posting
from nearcast_replica.reading import Pinned
from tests.geojsons import box, multipolygon, polygon

# All areas that items of these tests have: a segment holds an area's outline, not its text.
AREAS = (
    box(2.0, 48.0, 3.0, 49.0),
    box(178.0, -20.0, -178.0, -10.0),
    polygon([(-60.0, 70.0), (60.0, 70.0), (180.0, 70.0)]),
    polygon([(10.0, 50.0), (14.0, 50.0), (12.0, 53.0)], [(11.8, 51.0), (12.2, 51.0), (12.0, 51.5)]),
    multipolygon([(0.0, 0.0), (0.01, 0.0), (0.0, 0.01)], [(0.02, 0.0), (0.03, 0.0), (0.02, 0.01)]),
)
TEXTS = {outline.tobytes(): text for text, outline in zip(AREAS, outlines_of(AREAS), strict=True)}


def living(segment: Segment) -> list[int]:
    """The slots of items that live."""
    return np.flatnonzero(segment["expires"][: segment.slots] != DEAD).tolist()


def contents(pinned: Pinned) -> dict[int, tuple[ServedItem, bytes]]:
    """Every item that lives, and its message; whatever is kept twice in a segment must agree."""
    segment = pinned.segment
    check_index(segment)
    places: defaultdict[int, dict[int, Place]] = defaultdict(dict)
    for row in range(segment.rows):
        place = Place(float(segment["row_lat"][row]), float(segment["row_lon"][row]))
        places[int(segment["row_slot"][row])][int(segment["row_place"][row])] = place
    found: dict[int, tuple[ServedItem, bytes]] = {}
    for slot in living(segment):
        held = places[slot]
        served = read_item(
            segment, pinned.dictionaries, slot, pinned.item_id(slot), [held[at] for at in range(len(held))]
        )
        assert served.posting not in found
        assert slot_of_posting(segment, served.posting) == slot
        assert slot_of_id(segment, served.item.item_id) is not None
        found[served.posting] = (served, pinned.message(slot))
    return found


def read_item(
    segment: Segment, names: Dictionaries, slot: int, item_id: str, places: list[Place]
) -> ServedItem:
    def at(name: str) -> Any:
        return segment[name][slot].item()

    check_places(segment, slot, places)
    starts_at, expires_at, reach_m = at("starts_at"), at("expires_at"), at("reach_m")
    assert bool(at("flags") & OWN_AREA) == np.isposinf(reach_m)
    assert at("starts") == min(max(np.floor(starts_at), 0), NEVER)
    assert at("expires") == (NEVER if np.isposinf(expires_at) else min(max(np.ceil(expires_at), 1), LATEST))
    assert bool(at("flags") & OWN_REACH) == (not np.isnan(reach_m))
    item = Item(
        item_id=ItemId(item_id),
        places=tuple(places),
        reach_m=reach_m if np.isfinite(reach_m) else None,
        reach_area=TEXTS[outline_at(segment, slot).tobytes()] if np.isposinf(reach_m) else "",
        tags=tuple(Tag(name) for name in read_tags(segment, names, slot)),
        category=names.categories.names[at("category")],
        starts_at=None if np.isneginf(starts_at) else starts_at,
        expires_at=None if np.isposinf(expires_at) else expires_at,
        hours=names.hours.names[at("hours")],
    )
    return ServedItem(
        Posting(at("posting")), at("version"), at("born_at"), item, names.markets.names[at("market")]
    )


def read_tags(segment: Segment, names: Dictionaries, slot: int) -> list[str]:
    ref, pool = int(segment["tag_ref"][slot]), segment["tag_pool"]
    numbers = pool[ref + 1 : ref + 1 + int(pool[ref])].tolist()
    mask = 0
    for number in numbers:
        mask |= 1 << number % TAG_BUCKETS
    assert int(segment["tag_mask"][slot]) == mask
    return [names.tags.names[number] for number in numbers]


def check_places(segment: Segment, slot: int, places: list[Place]) -> None:
    """Several places are in the pool too, and those of an item with an area."""
    flags = int(segment["flags"][slot])
    assert bool(flags & SEVERAL_PLACES) == (len(places) > 1)
    if flags & (SEVERAL_PLACES | OWN_AREA):
        ref, pool = int(segment["place_ref"][slot]), segment["place_pool"]
        count = int(pool[ref])
        held = pool[ref + 1 : ref + 1 + 2 * count].reshape(-1, 2).tolist()
        assert [Place(*each) for each in held] == places


def check_index(segment: Segment) -> None:
    """The sorted rows are where the index says, in order; and every row is what its degrees say."""
    rows, end = slice(0, segment.rows), segment.shape.sorted_rows
    slots = segment["row_slot"][rows]
    lat, lon = segment["row_lat"][rows], segment["row_lon"][rows]
    cells, sorted_lon = class_of(segment["reach_m"][slots]) * BANDS + band_of(lat), lon.copy()
    own = np.flatnonzero(segment["flags"][slots] & OWN_AREA)
    for row in own.tolist():
        found = sorted_in(outline_at(segment, int(slots[row])), np.zeros(1, np.int64))
        cells[row], sorted_lon[row] = found[0][0], found[1][0]
    assert np.array_equal(indexed_cells(segment), cells[:end])
    keys = row_keys(cells[:end], segment["lon"][:end])
    assert np.all(keys[1:] >= keys[:-1])
    assert np.array_equal(segment["lon"][rows], sorted_lon.astype(np.float32))
    for name, values in zip("xyz", unit_vectors(lat, lon), strict=True):
        assert np.array_equal(segment[name][rows], values.astype(np.float32))
    tail = segment["tail_chord2"][: segment.rows - end]
    assert np.array_equal(tail < 0.0, np.isnan(segment["reach_m"][slots[end:]]))
