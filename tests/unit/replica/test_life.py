"""The life of a shared segment: filled, changed, merged, followed by readers that have mapped it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.columns import pack_stats, unpack_stats
from nearcast_replica.errors import ForeignReplicaError, SecondWriterError
from nearcast_replica.files import Files
from nearcast_replica.growing import GrowingGeneration, Words
from nearcast_replica.lookup import slot_of_posting, slots_of_postings
from nearcast_replica.reading import Pinned, ReplicaReader
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from tests.conftest import FixedClock
from tests.unit.replica.readback import AREAS, contents

KINDS = (2, 5)
BUILD = "test"
SMALL = Reserve(slots=400)
HOURS = WeeklyHours("Europe/Oslo", (OpeningInterval(0, 480, 1020), OpeningInterval(4, 600, 1500)))

World = dict[int, tuple[ServedItem, bytes]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "hot", tmp_path / "cold", "test", 7)


@pytest.fixture
def writer(files: Files, clock: FixedClock) -> Iterator[SegmentWriter]:
    writer = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    yield writer
    writer.close()


@pytest.fixture
def reader(files: Files) -> ReplicaReader:
    return ReplicaReader(files, BUILD)


def random_item(rng: np.random.Generator, posting: int) -> ServedItem:
    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.4 else None

    places = tuple(
        Place(float(rng.uniform(-90, 90)), float(rng.uniform(-180, 180)))
        for _ in range(int(rng.choice([1, 1, 1, 2, 16])))
    )
    area = maybe(AREAS[posting % len(AREAS)])
    item = Item(
        item_id=ItemId(f"thing-{posting}-ø"),
        places=places,
        reach_m=None if area else maybe(float(rng.uniform(1.0, 500_000.0))),
        reach_area=area or "",
        tags=tuple(Tag(f"tag-{number}") for number in set(rng.integers(0, 200, rng.integers(0, 5)).tolist())),
        category=f"category-{rng.integers(0, 9)}",
        starts_at=maybe(float(rng.uniform(1.6e9, 2e9))),
        expires_at=maybe(float(rng.uniform(1.6e9, 5e9))),
        hours=maybe(HOURS),
    )
    version = int(rng.integers(1, 2**62))
    return ServedItem(Posting(posting), version, float(rng.uniform(1e9, 2e9)), item, int(rng.integers(0, 4)))


def message_of(served: ServedItem) -> bytes:
    return b"message %d \x00\xff" % served.version


def fill(writer: SegmentWriter, items: Sequence[ServedItem], sequence: int = 0) -> World:
    filling = writer.begin_filling()
    for start in range(0, len(items), 97):
        batch = items[start : start + 97]
        filling.add(batch, [message_of(each) for each in batch])
    writer.adopt(filling.finish(sequence))
    return {each.posting: (each, message_of(each)) for each in items}


def some_items(rng: np.random.Generator, count: int, first: int = 1) -> list[ServedItem]:
    return [random_item(rng, posting) for posting in range(first, first + count)]


class Story:
    """Random changes, and what a segment must hold after them."""

    def __init__(self, rng: np.random.Generator, world: World, sequence: int = 0) -> None:
        self.rng = rng
        self.world = world
        self.sequence = sequence

    def next(self, count: int) -> list[SegmentChange]:
        return [self._one() for _ in range(count)]

    def _one(self) -> SegmentChange:
        self.sequence += 1
        known = list(self.world)
        is_known = known and self.rng.random() < 0.75
        posting = int(self.rng.choice(known)) if is_known else 10_000 + self.sequence
        if self.rng.random() < 0.25:
            self.world.pop(posting, None)
            return SegmentChange(self.sequence, posting, None)
        served = random_item(self.rng, posting)
        self.world[posting] = (served, message_of(served))
        return SegmentChange(self.sequence, posting, served, message_of(served))


def pinned(reader: ReplicaReader) -> Pinned:
    assert reader.refresh()
    state = reader.pin()
    assert state is not None
    return state


def test_before_the_first_generation_there_is_nothing_to_pin(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    assert not reader.refresh()
    assert reader.pin() is None


@pytest.mark.parametrize("count", [0, 1, 300])
def test_a_reader_finds_everything_that_was_filled(
    writer: SegmentWriter, reader: ReplicaReader, count: int
) -> None:
    world = fill(writer, some_items(np.random.default_rng(1), count), sequence=40)
    state = pinned(reader)
    assert contents(state) == world
    assert state.sequence == 40
    assert not state.segment["expires"].flags.writeable


def test_of_a_posting_that_was_read_twice_the_later_one_counts(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(2)
    items = some_items(rng, 200)
    again = [random_item(rng, posting) for posting in (3, 77, 150)]
    world = fill(writer, [*items, *again])
    assert len(world) == 200
    assert contents(pinned(reader)) == world


@pytest.mark.parametrize("seed", range(4))
def test_changes_are_seen_by_who_has_mapped_the_segment_already(
    writer: SegmentWriter, reader: ReplicaReader, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    story = Story(rng, fill(writer, some_items(rng, 100)))
    state = pinned(reader)
    for count in (1, 30, 5, 60, 2):
        assert writer.apply(story.next(count)) == Applied(story.sequence)
        now = reader.pin()
        assert now is not None
        assert now.generation is state.generation
        assert now.sequence == story.sequence
        assert contents(now) == story.world


@pytest.mark.parametrize("seed", range(4))
def test_a_merge_changes_nothing_but_the_generation(
    writer: SegmentWriter, reader: ReplicaReader, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    story = Story(rng, fill(writer, some_items(rng, 150)))
    before = pinned(reader)
    for _ in range(4):
        writer.apply(story.next(100))
        assert writer.merge()
        assert reader.is_behind
        state = pinned(reader)
        assert contents(state) == story.world
        assert state.segment.rows == state.segment.shape.sorted_rows
        assert state.sequence == story.sequence
    assert before.generation.number < state.generation.number


def test_what_comes_during_a_merge_is_in_its_generation_too(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(5)
    story = Story(rng, fill(writer, some_items(rng, 150)))
    writer.apply(story.next(100))
    merge = writer.begin_merge()
    writer.apply(story.next(40))
    merged = merge.run()
    writer.apply(story.next(40))
    assert contents(pinned(reader)) == story.world
    assert writer.finish_merge(merge, merged)
    state = pinned(reader)
    assert contents(state) == story.world
    assert state.generation.number == merged.generation.number


def test_statistics_stay_with_their_posting(writer: SegmentWriter, reader: ReplicaReader) -> None:
    """Through changes of the item, through a merge, and through changes during a merge."""
    rng = np.random.default_rng(6)
    story = Story(rng, fill(writer, some_items(rng, 150)))
    told: dict[int, tuple[float, float]] = {}

    def tell(postings: list[int]) -> None:
        a, b = rng.uniform(0, 9, len(postings)), rng.uniform(0, 9, len(postings))
        told.update(zip(postings, zip(a.tolist(), b.tolist(), strict=True), strict=True))
        writer.put_statistics(Words(5, np.array(postings), pack_stats(a, b)))

    def check() -> None:
        segment = pinned(reader).segment
        for posting in story.world:
            slot = slot_of_posting(segment, posting)
            assert slot is not None
            a, b = unpack_stats(segment["stats"][:, slot])
            assert (a[0], b[0]) == (0.0, 0.0)
            assert (a[1], b[1]) == pytest.approx(told.get(posting, (0.0, 0.0)), rel=1e-6)

    tell([*story.world, 999_999])
    check()
    writer.apply(story.next(60))
    told = {posting: words for posting, words in told.items() if posting in story.world}
    check()
    merge = writer.begin_merge()
    writer.apply(story.next(60))
    tell(list(story.world)[:40])
    merged = merge.run()
    writer.apply(story.next(20))
    tell(list(story.world)[20:60])
    assert writer.finish_merge(merge, merged)
    told = {posting: words for posting, words in told.items() if posting in story.world}
    check()


def test_statistics_by_other_rules_are_given_all_at_once(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    """Also of items that are born meanwhile; whoever follows the rules before has a moment more."""
    rng = np.random.default_rng(11)
    story = Story(rng, fill(writer, some_items(rng, 60)))

    def tell(generation: GrowingGeneration, amount: float, postings: Sequence[int]) -> None:
        words = pack_stats(np.full(len(postings), amount), np.full(len(postings), amount))
        generation.put_statistics(Words(5, np.array(postings, np.int64), words))

    def told(rules: int) -> set[float]:
        state = reader.pin(rules)
        assert state is not None
        slots = slots_of_postings(state.segment, np.array(list(contents(state)), np.int64))
        return set(unpack_stats(state.segment["stats"][1, slots])[0].tolist())

    first = writer.begin_merge()
    merged = first.run()
    merged.forget(77)
    tell(merged, 1.0, merged.postings())
    assert writer.finish_merge(first, merged, partial(tell, merged, 1.0))
    pinned(reader)
    assert (told(77), reader.pin(78), reader.holds(78)) == ({1.0}, None, False)

    second = writer.begin_merge()
    changes = story.next(40)
    writer.apply([each._replace(words=(0, int(pack_stats(np.ones(1), np.ones(1))[0]))) for each in changes])
    merged = second.run()
    merged.forget(78)
    tell(merged, 2.0, merged.postings())
    assert writer.finish_merge(second, merged, partial(tell, merged, 2.0))
    writer.put_statistics(Words(5, np.array([1]), pack_stats(np.full(1, 2.0), np.full(1, 2.0))))
    pinned(reader)
    assert (told(77), told(78), reader.rules) == ({1.0}, {2.0}, 78)
    assert writer.merge()
    pinned(reader)
    assert (told(77), told(78)) == ({1.0}, {2.0}), "one more of the same rules takes nothing away"
    reader.let_go()
    assert (told(78), reader.pin(77)) == ({2.0}, None)


def test_what_is_read_anew_overtakes_a_merge(writer: SegmentWriter, reader: ReplicaReader) -> None:
    rng = np.random.default_rng(12)
    items = some_items(rng, 20)
    fill(writer, items)
    merge = writer.begin_merge()
    merged = merge.run()
    filling = writer.begin_filling()
    assert not writer.finish_merge(merge, merged)
    filling.add(items[:5], [message_of(each) for each in items[:5]])
    writer.adopt(filling.finish(3))
    assert len(contents(pinned(reader))) == 5


def test_a_posting_that_dies_and_is_born_again_begins_anew(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(7)
    fill(writer, some_items(rng, 3))
    writer.put_statistics(Words(2, np.array([1]), pack_stats(np.array([3.0]), np.array([4.0]))))
    writer.apply([SegmentChange(1, 1, None)])
    writer.apply([SegmentChange(2, 1, random_item(rng, 1), b"")])
    segment = pinned(reader).segment
    slot = slot_of_posting(segment, 1)
    assert slot is not None
    assert segment["stats"][:, slot].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("sequences", "unfit"),
    [
        ([7], Unfit("gap", 6, 7)),
        ([5], Unfit("rollback", 6, 5)),
        ([6, 8], Unfit("gap", 7, 8)),
        ([6, 6], Unfit("rollback", 7, 6)),
    ],
)
def test_a_gap_and_a_rollback_are_told_and_change_nothing(
    writer: SegmentWriter, reader: ReplicaReader, sequences: list[int], unfit: Unfit
) -> None:
    rng = np.random.default_rng(8)
    world = fill(writer, some_items(rng, 10), sequence=5)
    changes = [SegmentChange(number, number, random_item(rng, number), b"") for number in sequences]
    assert writer.apply(changes) == unfit
    state = pinned(reader)
    assert (contents(state), state.sequence) == (world, 5)


def test_a_full_segment_takes_nothing_more_until_it_is_merged(
    writer: SegmentWriter, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(9)
    story = Story(rng, fill(writer, some_items(rng, 50)))
    for _ in range(45):
        before = dict(story.world)
        changes = story.next(50)
        answer = writer.apply(changes)
        if isinstance(answer, Unfit):
            assert answer.reason == "full"
            assert contents(pinned(reader)) == before
            assert writer.merge()
            answer = writer.apply(changes)
        assert answer == Applied(story.sequence)
        assert contents(pinned(reader)) == story.world
    assert pinned(reader).generation.number > 2


def test_new_names_beyond_the_room_for_them_wait_for_a_merge(
    files: Files, clock: FixedClock, reader: ReplicaReader
) -> None:
    writer = SegmentWriter(files, BUILD, KINDS, clock, Reserve(slots=4000, spare_names_bytes=300))
    rng = np.random.default_rng(10)
    story = Story(rng, fill(writer, some_items(rng, 1)))
    merges = 0
    for _ in range(5):
        changes = story.next(40)
        answer = writer.apply(changes)
        while isinstance(answer, Unfit):
            merges += 1
            writer.merge()
            answer = writer.apply(changes)
        assert contents(pinned(reader)) == story.world
    assert merges
    writer.close()


def test_a_resync_goes_on_beside_the_serving_generation(writer: SegmentWriter, reader: ReplicaReader) -> None:
    rng = np.random.default_rng(11)
    story = Story(rng, fill(writer, some_items(rng, 50)))
    state = pinned(reader)
    filling = writer.begin_filling()
    items = some_items(rng, 80, first=500)
    filling.add(items, [message_of(each) for each in items])
    writer.apply(story.next(10))
    vitals = reader.vitals()
    assert vitals is not None
    assert vitals.resyncing
    assert contents(pinned(reader)) == story.world
    fresh = filling.finish(sequence=3)
    other = Story(rng, {each.posting: (each, message_of(each)) for each in items}, sequence=3)
    assert fresh.apply(other.next(5)) == Applied(8)
    assert pinned(reader).generation is state.generation
    writer.adopt(fresh)
    assert contents(pinned(reader)) == other.world
    assert contents(state) == story.world
    assert writer.apply(other.next(5)) == Applied(13)
    assert contents(pinned(reader)) == other.world


def test_who_is_slow_to_map_the_next_generation_still_sees_changes_for_a_while(
    writer: SegmentWriter, reader: ReplicaReader, clock: FixedClock
) -> None:
    rng = np.random.default_rng(12)
    story = Story(rng, fill(writer, some_items(rng, 50)))
    assert reader.refresh()
    writer.merge()
    assert reader.is_behind
    writer.apply(story.next(20))
    still = reader.pin()
    assert still is not None
    assert contents(still) == story.world
    clock.advance(60.0)
    writer.tend()
    then = dict(story.world)
    writer.apply(story.next(20))
    assert contents(still) == then
    assert contents(pinned(reader)) == story.world


def test_old_files_go_and_whoever_has_mapped_them_reads_on(
    writer: SegmentWriter, reader: ReplicaReader, files: Files
) -> None:
    rng = np.random.default_rng(13)
    story = Story(rng, fill(writer, some_items(rng, 50)))
    old, then = pinned(reader), dict(story.world)
    fill(writer, some_items(rng, 5, first=900))
    generations = list(files.directory.glob("*.g*"))
    assert generations == [files.generation(2)]
    assert [path.name for path in files.cold_directory.iterdir()] == [files.cold_name(2)]
    assert contents(old) == then


def test_two_writers_of_one_segment_are_refused(
    writer: SegmentWriter, files: Files, clock: FixedClock
) -> None:
    with pytest.raises(SecondWriterError):
        SegmentWriter(files, BUILD, KINDS, clock)
    SegmentWriter(Files(files.directory, files.cold_directory, "test", 8), BUILD, KINDS, clock).close()


def test_a_reader_goes_on_while_its_writer_is_away_and_follows_the_next_one(
    files: Files, clock: FixedClock, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(14)
    first = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    world = fill(first, some_items(rng, 50))
    state = pinned(reader)
    first.close()
    second = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    assert contents(pinned(reader)) == world
    other = fill(second, some_items(rng, 60, first=300))
    assert contents(pinned(reader)) == other
    assert contents(state) == world
    second.close()


def test_a_reader_follows_a_writer_whose_directory_was_emptied(
    files: Files, clock: FixedClock, reader: ReplicaReader
) -> None:
    rng = np.random.default_rng(15)
    first = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    world = fill(first, some_items(rng, 50))
    assert contents(pinned(reader)) == world
    first.close()
    for path in files.directory.iterdir():
        path.unlink()
    assert contents(pinned(reader)) == world
    second = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    assert contents(pinned(reader)) == world
    other = fill(second, some_items(rng, 60, first=300))
    assert contents(pinned(reader)) == other
    second.close()


def test_a_reader_takes_nothing_of_another_build(writer: SegmentWriter, files: Files) -> None:
    fill(writer, some_items(np.random.default_rng(16), 5))
    with pytest.raises(ForeignReplicaError, match="build other"):
        ReplicaReader(files, "other").refresh()


def test_the_vitals_tell_where_the_writer_is(
    writer: SegmentWriter, reader: ReplicaReader, clock: FixedClock
) -> None:
    rng = np.random.default_rng(17)
    story = Story(rng, fill(writer, some_items(rng, 20)))
    pinned(reader)
    clock.advance(5.0)
    writer.apply(story.next(10))
    vitals = reader.vitals()
    assert vitals is not None
    assert (vitals.sequence, vitals.generation, vitals.epoch) == (10, 1, 1)
    assert vitals.beat_ms == int(clock() * 1000)
    assert vitals.pending > 0
    assert not vitals.resyncing


def test_a_merge_is_wanted_when_the_tail_is_long_or_old(files: Files, clock: FixedClock) -> None:
    writer = SegmentWriter(files, BUILD, KINDS, clock, Reserve(slots=4000, shortest_tail=50))
    rng = np.random.default_rng(18)
    story = Story(rng, fill(writer, some_items(rng, 20)))
    assert not writer.wants_merge()
    writer.apply(story.next(2))
    assert not writer.wants_merge()
    clock.advance(601.0)
    assert writer.wants_merge()
    writer.merge()
    clock.advance(601.0)
    assert not writer.wants_merge()
    writer.apply(story.next(200))
    assert writer.wants_merge()
    writer.close()


def test_cold_bytes_of_items_that_are_gone_are_left_behind(
    writer: SegmentWriter, reader: ReplicaReader, files: Files
) -> None:
    rng = np.random.default_rng(19)
    items = some_items(rng, 60)
    filling = writer.begin_filling()
    filling.add(items, [bytes([each.posting]) * 1_000_000 for each in items])
    writer.adopt(filling.finish(0))
    writer.apply([SegmentChange(number, number, None) for number in range(1, 31)])
    writer.merge()
    assert pinned(reader).generation.description.cold_name == files.cold_name(1)
    writer.apply([SegmentChange(number, number, None) for number in range(31, 56)])
    writer.merge()
    state = pinned(reader)
    assert state.generation.description.cold_name == files.cold_name(3)
    assert [path.name for path in files.cold_directory.iterdir()] == [files.cold_name(3)]
    assert {posting: message for posting, (_, message) in contents(state).items()} == {
        posting: bytes([posting]) * 1_000_000 for posting in range(56, 61)
    }
    assert writer.apply([SegmentChange(56, 99, items[0], b"new")]).sequence == 56  # type: ignore[union-attr]
