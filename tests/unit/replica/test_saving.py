"""What is saved is mapped back as it was, or refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nearcast_replica.changes import Applied
from nearcast_replica.columns import pack_stats
from nearcast_replica.errors import UnusableSnapshotError
from nearcast_replica.files import Files
from nearcast_replica.growing import GrowingGeneration, Words
from nearcast_replica.reading import ReplicaReader
from nearcast_replica.saving import save
from nearcast_replica.writing import SegmentWriter
from tests.conftest import FixedClock
from tests.unit.replica.readback import contents
from tests.unit.replica.test_life import (
    BUILD,
    KINDS,
    SMALL,
    Story,
    World,
    fill,
    message_of,
    pinned,
    random_item,
    some_items,
)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "hot", tmp_path / "cold", "test", 7)


@pytest.fixture
def saved(files: Files, clock: FixedClock) -> Story:
    """Something was saved, then more came, and then the host lost its memory."""
    rng = np.random.default_rng(3)
    writer = SegmentWriter(files, BUILD, KINDS, clock, SMALL)
    story = Story(rng, fill(writer, some_items(rng, 120)))
    writer.apply(story.next(60))
    writer.put_statistics(
        Words(
            5, np.array(list(story.world)), pack_stats(np.ones(1), np.full(1, 2.0)).repeat(len(story.world))
        )
    )
    serving = writer.serving
    assert serving is not None
    save(serving, files, b"where the stream was")
    kept = Story(rng, dict(story.world), story.sequence)
    writer.apply(story.next(20))
    writer.close()
    for path in files.directory.iterdir():
        path.unlink()
    return kept


def reopened(
    files: Files, clock: FixedClock, build: str = BUILD, kinds: tuple[int, ...] = KINDS
) -> SegmentWriter:
    return SegmentWriter(files, build, kinds, clock, SMALL)


def test_what_was_saved_is_served_again(files: Files, clock: FixedClock, saved: Story) -> None:
    writer = reopened(files, clock)
    assert writer.restore() == b"where the stream was"
    assert writer.sequence == saved.sequence
    state = pinned(ReplicaReader(files, BUILD))
    assert contents(state) == saved.world
    live = np.flatnonzero(state.segment["expires"][: state.segment.slots])
    assert set(state.segment["stats"][1, live].tolist()) == {pack_stats(np.array(1.0), np.array(2.0)).item()}
    for _ in range(3):
        assert writer.apply(saved.next(40)) == Applied(saved.sequence)
        assert contents(pinned(ReplicaReader(files, BUILD))) == saved.world
        writer.merge()
    writer.close()


def test_what_is_restored_does_not_write_over_what_others_still_read(files: Files, clock: FixedClock) -> None:
    """Readers of the writer that is gone go on with bytes behind the snapshot's."""
    rng = np.random.default_rng(4)
    first = reopened(files, clock)
    story = Story(rng, fill(first, some_items(rng, 30)))
    serving = first.serving
    assert serving is not None
    save(serving, files, b"")
    back = Story(rng, dict(story.world), story.sequence)
    first.apply(story.next(30))
    state = pinned(ReplicaReader(files, BUILD))
    first.close()
    second = reopened(files, clock)
    second.restore()
    second.apply(back.next(30))
    assert contents(pinned(ReplicaReader(files, BUILD))) == back.world
    assert contents(state) == story.world
    second.close()


def test_the_generation_of_a_merge_can_be_saved_before_it_is_served(files: Files, clock: FixedClock) -> None:
    rng = np.random.default_rng(5)
    writer = reopened(files, clock)
    story = Story(rng, fill(writer, some_items(rng, 60)))
    writer.apply(story.next(30))
    then: World = dict(story.world)
    merge = writer.begin_merge()
    writer.apply(story.next(30))
    merged: GrowingGeneration = merge.run()
    save(merged, files, b"note")
    assert writer.finish_merge(merge, merged)
    writer.close()
    again = reopened(files, clock)
    again.restore()
    assert contents(pinned(ReplicaReader(files, BUILD))) == then
    again.close()


def test_only_the_last_snapshot_is_kept(files: Files, clock: FixedClock) -> None:
    rng = np.random.default_rng(6)
    writer = reopened(files, clock)
    story = Story(rng, fill(writer, some_items(rng, 20)))
    for _ in range(3):
        writer.apply(story.next(5))
        assert writer.serving is not None
        save(writer.serving, files, b"")
    assert len(list(files.cold_directory.glob("*.saved.*"))) == 3
    writer.close()


def bitten(path: Path, at: int) -> None:
    """One byte of the file is another."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x40]))


def the(files: Files, pattern: str) -> Path:
    (path,) = files.cold_directory.glob(pattern)
    return path


def cut_off(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


DAMAGES: dict[str, tuple[Callable[[Files], object], str]] = {
    "head": (lambda files: bitten(the(files, "*.columns"), 40), "head is damaged"),
    "columns": (lambda files: bitten(the(files, "*.columns"), 9000), "checksum is another"),
    "columns cut off": (lambda files: cut_off(the(files, "*.columns"), 9000), "cut off"),
    "no columns": (lambda files: the(files, "*.columns").unlink(), "columns is missing"),
    "no cold bytes": (lambda files: the(files, "*.saved.*.cold").unlink(), "cold is missing"),
    "cold bytes cut off": (lambda files: cut_off(the(files, "*.saved.*.cold"), 100), "cut off"),
    "manifest": (lambda files: files.manifest.write_bytes(b"{"), "truncated"),
    "nothing": (lambda files: files.manifest.unlink(), "saved.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused_and_leaves_nothing(
    files: Files, clock: FixedClock, saved: Story, damage: str
) -> None:
    harm, reason = DAMAGES[damage]
    harm(files)
    writer = reopened(files, clock)
    with pytest.raises(UnusableSnapshotError, match=reason):
        writer.restore()
    assert writer.serving is None
    assert not list(files.directory.glob("*.g*"))
    world = fill(writer, [random_item(np.random.default_rng(1), 5)])
    assert contents(pinned(ReplicaReader(files, BUILD))) == world
    writer.close()


def test_what_another_build_saved_is_refused(files: Files, clock: FixedClock, saved: Story) -> None:
    writer = reopened(files, clock, build="newer")
    with pytest.raises(UnusableSnapshotError, match="build test"):
        writer.restore()
    writer.close()


def test_a_snapshot_with_statistics_of_other_kinds_is_refused(
    files: Files, clock: FixedClock, saved: Story
) -> None:
    writer = reopened(files, clock, kinds=(2, 5, 8))
    with pytest.raises(UnusableSnapshotError, match="kinds"):
        writer.restore()
    assert not list(files.directory.glob("*.g*"))
    writer.close()


def test_messages_are_kept_byte_for_byte(files: Files, clock: FixedClock) -> None:
    rng = np.random.default_rng(9)
    writer = reopened(files, clock)
    served = random_item(rng, 1)
    filling = writer.begin_filling()
    filling.add([served], [bytes(range(256)) * 40])
    writer.adopt(filling.finish(0))
    assert contents(pinned(ReplicaReader(files, BUILD))) == {1: (served, bytes(range(256)) * 40)}
    assert message_of(served) != b""
    writer.close()
