"""Items every field of which follows from posting and version: a mixture of two is told by looking."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_replica.columns import pack_stats, unpack_stats
from nearcast_replica.layout import DEAD, SEVERAL_PLACES, STATE_ROWS
from nearcast_replica.reading import Pinned

TAGS = 48
_FIRST_TIME = 1_600_000_000
_MULTIPLIERS = (0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB)

Words = NDArray[np.uint64]
Slots = NDArray[np.int64]


def mixed(postings: NDArray[np.int64], versions: NDArray[np.int64]) -> Words:
    """64 bits for each posting and version."""
    words = postings.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) + versions.astype(np.uint64)
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(multiplier)
    return words ^ (words >> np.uint64(31))


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """What the words say of each item; the second place is there where `several`."""

    category: Slots
    tag: Slots
    starts: NDArray[np.float64]
    expires: NDArray[np.float64]
    reach_m: NDArray[np.float64]
    born_at: NDArray[np.float64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    several: NDArray[np.bool_]


def fields_of(words: Words) -> Fields:
    def part(shift: int, bits: int) -> NDArray[np.int64]:
        return ((words >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).astype(np.int64)

    starts = _FIRST_TIME + part(10, 24).astype(np.float64)
    return Fields(
        category=part(0, 5),
        tag=part(5, 16) % TAGS,
        starts=starts,
        expires=starts + 1e8 + part(3, 20),
        reach_m=np.where(part(2, 2) == 0, 10.0 + part(20, 18), np.nan),
        born_at=part(0, 50) / 1024.0,
        lat=part(14, 25) / 2**25 * 180.0 - 90.0,
        lon=part(39, 25) / 2**25 * 360.0 - 180.0,
        several=part(8, 3) == 0,
    )


def item_of(posting: int, version: int) -> tuple[ServedItem, bytes]:
    """The item, and its message with a checksum."""
    fields = fields_of(mixed(np.array([posting]), np.array([version])))
    lat, lon, reach_m = fields.lat.item(), fields.lon.item(), fields.reach_m.item()
    places = (Place(lat, lon), Place(-lat, lon))[: 1 + fields.several.item()]
    item = Item(
        item_id=ItemId(f"item-{posting}"),
        places=places,
        reach_m=None if np.isnan(reach_m) else reach_m,
        tags=(Tag(f"tag-{fields.tag.item()}"),),
        category=f"category-{fields.category.item()}",
        starts_at=fields.starts.item(),
        expires_at=fields.expires.item(),
    )
    served = ServedItem(Posting(posting), version, fields.born_at.item(), item)
    return served, _message(posting, version)


def _message(posting: int, version: int) -> bytes:
    text = b"%d %d " % (posting, version)
    return text + b"%08x" % zlib.crc32(text)


class Inspector:
    """Reads records of pinned states; what is wrong with one is returned as text, nothing is raised."""

    def wrong(self, pinned: Pinned, begin: int, end: int) -> list[str]:
        """Of the slots in this range, which must be published."""
        segment = pinned.segment
        held = {
            name: segment[name][begin:end].copy()
            for name in (
                "posting", "version", "category", "starts", "starts_at", "expires_at", "expires", "reach_m",
                "born_at", "tag_mask", "tag_ref", "flags", "cold_length", "id_length",
            )
        }  # fmt: skip
        posting, version = held["posting"], held["version"]
        fields = fields_of(mixed(posting, version))
        numbers = segment["tag_pool"][held["tag_ref"] + 1]
        tags, categories = (
            _numbers(each.names) for each in (pinned.dictionaries.tags, pinned.dictionaries.categories)
        )
        expected = {
            "category": categories[np.minimum(held["category"], categories.size - 1)] == fields.category,
            "starts": held["starts"] == fields.starts,
            "starts_at": held["starts_at"] == fields.starts,
            "expires_at": held["expires_at"] == fields.expires,
            "expires": (held["expires"] == DEAD) | (held["expires"] == fields.expires),
            "reach_m": (held["reach_m"] == fields.reach_m)
            | (np.isnan(held["reach_m"]) & np.isnan(fields.reach_m)),
            "born_at": held["born_at"] == fields.born_at,
            "tag_mask": held["tag_mask"] == np.uint64(1) << (numbers % 64).astype(np.uint64),
            "tag": tags[np.minimum(numbers, tags.size - 1)] == fields.tag,
            "flags": (held["flags"] & SEVERAL_PLACES > 0) == fields.several,
        }
        found = [
            f"slot {begin + at}: {name} is not that of {posting[at]} version {version[at]}"
            for name, right in expected.items()
            for at in np.flatnonzero(~right)[:3].tolist()
        ]
        return found + self._wrong_statistics(pinned, begin, end)

    def wrong_message(self, pinned: Pinned, slot: int) -> list[str]:
        posting, version = int(pinned.segment["posting"][slot]), int(pinned.segment["version"][slot])
        right = (
            pinned.message(slot) == _message(posting, version) and pinned.item_id(slot) == f"item-{posting}"
        )
        return (
            [] if right else [f"slot {slot}: message or item id is not that of {posting} version {version}"]
        )

    def wrong_rows(self, pinned: Pinned, begin: int, end: int) -> list[str]:
        """Of the rows in this range, which must be published."""
        segment = pinned.segment
        slot, place = segment["row_slot"][begin:end], segment["row_place"][begin:end]
        posting, version = segment["posting"][slot], segment["version"][slot]
        fields = fields_of(mixed(posting, version))
        lat = np.where(place == 0, fields.lat, -fields.lat)
        right = (segment["row_lat"][begin:end] == lat) & (segment["row_lon"][begin:end] == fields.lon)
        right &= segment["lon"][begin:end] == fields.lon.astype(np.float32)
        right &= segment["z"][begin:end] == np.sin(np.radians(lat)).astype(np.float32)
        return [
            f"row {begin + at}: its place is not that of {posting[at]} version {version[at]}"
            for at in np.flatnonzero(~right)[:3].tolist()
        ]

    def missing(self, pinned: Pinned, lasting: int) -> list[str]:
        """Postings up to `lasting` that are found nowhere: they never end, they only move.

        The sorted rows are looked at first, and the tail until it is found ended.
        """
        segment = pinned.segment
        seen = np.zeros(lasting + 1, np.bool_)
        begin, end = 0, segment.shape.sorted_rows
        while begin < end:
            slot = segment["row_slot"][begin:end]
            lives = slot[segment["expires"][slot] != DEAD]
            posting = segment["posting"][lives]
            seen[posting[posting <= lasting]] = True
            begin, end = end, int(segment["state"][STATE_ROWS])
        return [f"posting {posting} is nowhere" for posting in (np.flatnonzero(~seen[1:]) + 1)[:3].tolist()]

    def _wrong_statistics(self, pinned: Pinned, begin: int, end: int) -> list[str]:
        a, b = unpack_stats(pinned.segment["stats"][0, begin:end].copy())
        return [
            f"slot {begin + at}: A {a[at]} and B {b[at]} are of different moments"
            for at in np.flatnonzero((b != a + 1.0) & (b != 0.0))[:3].tolist()
        ]


def statistics_of(moments: NDArray[np.int64]) -> Words:
    """A word for each moment, by which halves of two are told apart."""
    return pack_stats(moments.astype(np.float64), moments + 1.0)


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """What the names end in, by number of the name."""
    return np.array([int(name.rpartition("-")[2]) for name in names], np.int64)
