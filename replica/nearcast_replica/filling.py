"""A generation from nothing: all items in batches, in any order, then sorted into place."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np

from nearcast_catalogue.item import ServedItem
from nearcast_replica.cold import ColdFile
from nearcast_replica.columns import Integers, Records, build_segment, records_of
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.files import Files
from nearcast_replica.generation import Description, GenerationFile
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.layout import (
    STATE_COLD,
    STATE_NAMES,
    STATE_PLACE_POOL,
    STATE_SEQUENCE,
    STATE_TAG_POOL,
)
from nearcast_replica.names import NamesWritten
from nearcast_replica.sizing import Reserve

_PLACES_PER_ITEM = ("lat", "lon")
_ONE_PER_ITEM = [
    field.name for field in fields(Records) if field.name not in {"tags", "areas", "cold", *_PLACES_PER_ITEM}
]


class Filling:
    """One new generation; until it is finished nobody reads it, and an older one goes on serving."""

    def __init__(
        self, files: Files, number: int, build: str, kinds: tuple[int, ...], reserve: Reserve
    ) -> None:
        self._files = files
        self._number = number
        self._build = build
        self._kinds = kinds
        self._reserve = reserve
        self._dictionaries = Dictionaries()
        self._batches: list[Records] = []
        self._cold = ColdFile.create(files.cold(files.cold_name(number)))

    def add(self, batch: Sequence[ServedItem], messages: Sequence[bytes]) -> None:
        """Some items with their display messages; of a posting that comes again the later one counts."""
        records = records_of(batch, self._dictionaries, messages)
        self._cold.append([records.cold.data])
        self._batches.append(replace(records, cold=np.empty(0, np.uint8)))

    def finish(self, sequence: int) -> GrowingGeneration:
        """As of that change; what else is known of later ones is applied to it before it is served."""
        records = _joined(self._batches) if self._batches else records_of([], self._dictionaries, [])
        self._batches.clear()
        cold_begins = np.cumsum(records.cold_lengths) - records.cold_lengths
        last = _last_of_each(records.postings)
        is_unique = last.size == records.postings.size
        if not is_unique:
            records = _chosen(records, last)
        names = NamesWritten(self._dictionaries).missing()
        file = GenerationFile(self._files.generation(self._number), self._reserve.names_bytes(len(names)))
        count, places, tags = records.postings.size, records.lat.size, records.tags.size
        spare = self._reserve.spare(count, places, tags, records.areas.size)
        segment = build_segment(records, self._kinds, spare, file.room)
        if not is_unique:
            segment["cold_offset"][:count] = _of_postings(
                segment["posting"][:count], records.postings, cold_begins[last]
            )
        self._cold.reserve(self._reserve.cold_bytes(self._cold.used))
        description = Description(
            self._build,
            self._files.tenant_id,
            self._number,
            segment.shape,
            self._cold.path.name,
            self._cold.capacity,
        )
        generation = file.finish(description, self._cold.path)
        generation.names[: len(names)] = np.frombuffer(names, np.uint8)
        state = segment["state"]
        state[STATE_SEQUENCE] = sequence
        state[STATE_TAG_POOL] = segment.shape.tag_pool - spare.tags
        state[STATE_PLACE_POOL] = segment.shape.place_pool - spare.places
        state[STATE_NAMES], state[STATE_COLD] = len(names), self._cold.used
        return GrowingGeneration(generation, self._cold)

    def discard(self) -> None:
        """Nobody will need it."""
        self._cold.discard()


def _joined(batches: Iterable[Records]) -> Records:
    held = list(batches)
    return Records(
        **{
            field.name: np.concatenate([getattr(each, field.name) for each in held])
            for field in fields(Records)
        }
    )


def _last_of_each(postings: Integers) -> Integers:
    """The last index of each posting, in order."""
    _, first = np.unique(postings[::-1], return_index=True)
    found: Integers = np.sort(postings.size - 1 - first)
    return found


def _chosen(records: Records, items: Integers) -> Records:
    """Some of the items."""
    places = _spread(records.place_counts, items)
    tags = _spread(records.tag_counts, items)
    areas = _spread(records.area_counts, items)
    chosen = {name: getattr(records, name)[items] for name in _ONE_PER_ITEM}
    return Records(
        **chosen,
        lat=records.lat[places],
        lon=records.lon[places],
        tags=records.tags[tags],
        areas=records.areas[areas],
        cold=records.cold,
    )


def _spread(counts: Integers, items: Integers) -> Integers:
    """Where the entries of these items are, which lie behind each other by so many of each."""
    lengths = counts[items]
    begins = (np.cumsum(counts) - counts)[items]
    firsts = np.cumsum(lengths) - lengths
    return np.repeat(begins - firsts, lengths) + np.arange(int(lengths.sum()))


def _of_postings(wanted: Integers, postings: Integers, values: Integers) -> Integers:
    order = np.argsort(postings)
    return values[order[np.searchsorted(postings, wanted, sorter=order)]]
