"""What a replica weighs, and how long it takes to make one, to merge it and to map it back."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import click
import numpy as np

from benchmarks.cities import make_cities
from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import Row, at_most
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_replica.changes import SegmentChange, Unfit
from nearcast_replica.files import Files
from nearcast_replica.layout import COLUMNS, Heat, Segment
from nearcast_replica.reading import ReplicaReader
from nearcast_replica.saving import save
from nearcast_replica.writing import SegmentWriter

BUILD, KINDS = "benchmark", (1,)
CITIES = 300
BATCH = 10_000
MESSAGE_BYTES = 250
GOAL_HOT_BYTES, GOAL_READY_S = 64, 5.0
CHANGES, AT_ONCE = 50_000, 100
Answer = TypeVar("Answer")


class Watch:
    """Seconds by what was done, and how many of them the processor was at it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def time(self, name: str, act: Callable[[], Answer]) -> Answer:
        began, began_cpu = time.perf_counter(), time.process_time()
        answer = act()
        self.seconds[f"{name}_s"] += time.perf_counter() - began
        self.seconds[f"{name}_cpu_s"] += time.process_time() - began_cpu
        return answer


def batches(items: int, seed: int, first: int = 1) -> Iterator[tuple[list[ServedItem], list[bytes]]]:
    """Items around cities whose sizes fall as their ranks do, with two tags and a message each."""
    rng = np.random.default_rng(seed)
    cities = make_cities(rng, CITIES)
    for begin in range(first, first + items, BATCH):
        count = min(BATCH, first + items - begin)
        spots = np.column_stack(cities.places(rng, count))
        numbers = rng.integers(0, 1 << 16, (count, 3))
        served = [
            _item(begin + index, lat, lon, *drawn)
            for index, ((lat, lon), drawn) in enumerate(zip(spots.tolist(), numbers.tolist(), strict=True))
        ]
        yield served, [b"%d " % each.posting + bytes(MESSAGE_BYTES) for each in served]


def _item(posting: int, lat: float, lon: float, category: int, tag: int, other: int) -> ServedItem:
    item = Item(
        item_id=ItemId(f"item-{posting}"),
        places=(Place(lat, lon),),
        tags=(Tag(f"tag-{tag % 500}"), Tag(f"label-{other % 40}")),
        category=f"category-{category % 60}",
        expires_at=1_790_000_000.0 + category * 100.0 if category % 10 else None,
    )
    return ServedItem(Posting(posting), 1, 1_780_000_000.0 + tag, item)


def measure(items: int, directory: Path, cold_directory: Path) -> dict[str, float]:
    """Seconds and bytes of one replica."""
    files, watch = Files(directory, cold_directory, "benchmark", 1), Watch()
    writer = SegmentWriter(files, BUILD, KINDS, time.time)
    filling = writer.begin_filling()
    for served, messages in batches(items, seed=1):
        watch.time("read in", partial(filling.add, served, messages))
    filled = watch.time("sort and lay out", lambda: filling.finish(0))
    writer.adopt(filled)
    weights = bytes_per_item(filled.segment, items, filled.cold.used)
    progress("filled")
    reader = ReplicaReader(files, BUILD)
    watch.time("map", reader.refresh)
    _change(writer, items, watch)
    progress("changed")
    watch.time(f"merge {CHANGES:,} changes", writer.merge)
    watch.time("map after merge", reader.refresh)
    serving = writer.serving
    assert serving is not None
    watch.time("save", partial(save, serving, files, b""))
    writer.close()
    for path in directory.iterdir():
        path.unlink()
    del reader, serving, filled
    progress("saved")
    again = SegmentWriter(files, BUILD, KINDS, time.time)
    watch.time("restore", again.restore)
    watch.time("map after restore", ReplicaReader(files, BUILD).refresh)
    again.close()
    return {"items": items, **weights, **watch.seconds}


def _change(writer: SegmentWriter, items: int, watch: Watch) -> None:
    """Moves of items that are there, in batches as they come from the change stream."""
    rng, sequence = np.random.default_rng(2), 0
    for served, messages in batches(CHANGES, seed=3):
        postings = rng.integers(1, items + 1, len(served)).tolist()
        changes = []
        for each, message, posting in zip(served, messages, postings, strict=True):
            sequence += 1
            moved = ServedItem(Posting(posting), 2, each.born_at, each.item)
            changes.append(SegmentChange(sequence, posting, moved, message))
        for begin in range(0, len(changes), AT_ONCE):
            part = changes[begin : begin + AT_ONCE]
            answer = watch.time(f"apply {CHANGES:,} changes", partial(writer.apply, part))
            assert not isinstance(answer, Unfit)


def bytes_per_item(segment: Segment, items: int, cold_bytes: int) -> dict[str, float]:
    """Room for what is to come is counted in."""
    weights = {"hot_bytes": 0.0, "warm_bytes": 0.0}
    for column in COLUMNS:
        name = "hot_bytes" if column.heat is Heat.HOT else "warm_bytes"
        weights[name] += segment[column.name].nbytes / items
    return {**weights, "cold_bytes": cold_bytes / items}


def judged(figures: Sequence[Mapping[str, float]]) -> list[Row]:
    """Of the largest alone: room for what is to come weighs more in a small one."""
    most = max(figures, key=lambda each: each["items"])
    of = f"{most['items']:,.0f} items"
    hot = most["hot_bytes"] / GOAL_HOT_BYTES
    restored = most["restore_s"] / GOAL_READY_S
    return [
        at_most(f"hot bytes per item, {of}", f"{GOAL_HOT_BYTES} bytes", hot, 1.0),
        at_most(f"restored from a snapshot, {of}", f"{GOAL_READY_S:g} s", restored, 1.0),
    ]


@click.command()
@click.option("--items", type=float, default=[1e6], multiple=True, help="Several sizes may be given.")
@click.option("--cold-directory", type=click.Path(path_type=Path), default=Path("/var/tmp"))
@click.option("--json", "as_json", is_flag=True)
def main(items: tuple[float, ...], cold_directory: Path, as_json: bool) -> None:
    """Columns in /dev/shm, cold bytes and the snapshot on disk."""
    figures = []
    for count in items:
        with (
            TemporaryDirectory(prefix="nearcast-build-", dir="/dev/shm") as hot,
            TemporaryDirectory(prefix="nearcast-build-", dir=cold_directory) as cold,
        ):
            figures.append(measure(int(count), Path(hot), Path(cold)))
    if not as_json:
        rows = [[name, *(each[name] for each in figures)] for name in figures[0]]
        print_table("Replica", ["", *["" for _ in figures]], rows)
    data = f"{CITIES} cities of Zipf sizes, seed 1, one kind of event"
    finish(
        as_json,
        {"rows": judged(figures), "data": data, "replica": figures},
        ("Redis, which items are read from", "a disk that has to be read"),
    )


if __name__ == "__main__":
    main()
