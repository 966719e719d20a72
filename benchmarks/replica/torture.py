"""One writer at full rate, readers that check every record: `python -m benchmarks.replica.torture`."""

import multiprocessing
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeAlias

import click
import numpy as np

from benchmarks.events.report import finish, print_table
from benchmarks.goals import at_most
from benchmarks.replica.carelessness import plant
from benchmarks.replica.records import Inspector, item_of, statistics_of
from nearcast_replica.changes import SegmentChange, Unfit
from nearcast_replica.files import Files
from nearcast_replica.growing import Words
from nearcast_replica.layout import STATE_ROWS, STATE_SLOTS
from nearcast_replica.reading import Pinned, ReplicaReader
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter

Bug = Literal["publishes_first", "kills_first", "tears_statistics"]
Told: TypeAlias = "Queue[dict[str, Any]]"

BUILD, KINDS = "torture", (1,)
_PATIENCE_S = 1800.0
_BLOCK = 32_768
_NEWEST = 512
_MERGE_EVERY = 4000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was read, what was written meanwhile, and what was wrong."""

    reads: int
    newest: int
    generations: int
    changes: int
    statistics: int
    seconds: float
    wrong: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Torture:
    """`reads` records of each reader; the first `lasting` items only change, the others end and come back."""

    reads: int
    readers: int = 1
    items: int = 20_000
    lasting: int = 15_000
    bug: Bug | None = None

    def run(self, directory: Path) -> Outcome:
        """In processes of their own; raises TimeoutError when one of them does not answer."""
        spawn = multiprocessing.get_context("spawn")
        files = Files(directory, directory, "torture", 1)
        ready, stop, told = spawn.Event(), spawn.Event(), spawn.Queue()
        writer = spawn.Process(target=write, args=(self, files, ready, stop, told))
        readers = [
            spawn.Process(target=read, args=(self, files, number, told)) for number in range(self.readers)
        ]
        began = time.perf_counter()
        try:
            writer.start()
            if not ready.wait(_PATIENCE_S):
                raise TimeoutError("the writer did not begin")
            for reader in readers:
                reader.start()
            outcomes = [_answer(told) for _ in readers]
            stop.set()
            written = _answer(told)
            for process in (writer, *readers):
                process.join(_PATIENCE_S)
        finally:
            for process in (writer, *readers):
                if process.pid is not None and process.is_alive():
                    process.kill()
        return Outcome(
            reads=sum(each["reads"] for each in outcomes),
            newest=sum(each["newest"] for each in outcomes),
            generations=max(each["generations"] for each in outcomes),
            changes=written["changes"],
            statistics=written["statistics"],
            seconds=time.perf_counter() - began,
            wrong=[wrong for each in outcomes for wrong in each["wrong"]],
        )


def write(torture: Torture, files: Files, ready: Event, stop: Event, told: Told) -> None:
    """Change items as fast as it goes until told to stop."""
    if torture.bug is not None:
        plant(torture.bug)
    writer = SegmentWriter(files, BUILD, KINDS, time.time, Reserve(slots=12_000))
    filling = writer.begin_filling()
    items = [item_of(posting, 1) for posting in range(1, torture.items + 1)]
    filling.add([served for served, _ in items], [message for _, message in items])
    writer.adopt(filling.finish(0))
    ready.set()
    rng, sequence, statistics = np.random.default_rng(1), 0, 0
    while not stop.is_set():
        changes = []
        for posting in rng.integers(1, torture.items + 1, int(rng.integers(1, 60))).tolist():
            sequence += 1
            ends = posting > torture.lasting and rng.random() < 0.5
            served, message = (None, b"") if ends else item_of(posting, sequence)
            changes.append(SegmentChange(sequence, posting, served, message))
        if isinstance(writer.apply(changes), Unfit):
            raise AssertionError("the segment is full")
        for _ in range(10):
            postings = rng.integers(1, torture.items + 1, 100)
            writer.put_statistics(Words(1, postings, statistics_of(rng.integers(1, 1 << 20, 100))))
            statistics += postings.size
        if writer.serving is not None and writer.serving.pending > _MERGE_EVERY:
            writer.merge()
    writer.close()
    told.put({"changes": sequence, "statistics": statistics})


def read(torture: Torture, files: Files, number: int, told: Told) -> None:
    """Read records until there are enough or one is wrong."""
    reader, inspector, rng = ReplicaReader(files, BUILD), Inspector(), np.random.default_rng(number)
    reads, newest, generations, wrong = 0, 0, set(), list[str]()
    while reads < torture.reads and not wrong:
        if reader.is_behind:
            reader.refresh()
        state = reader.pin()
        assert state is not None
        generations.add(state.generation.number)
        for _ in range(20):
            fresh, found = _look_at_newest(reader, inspector)
            reads, newest, wrong = reads + fresh, newest + fresh, wrong + found
        slots, rows = state.segment.slots, state.segment.rows
        begin = int(rng.integers(0, max(slots - _BLOCK, 1)))
        end = min(begin + _BLOCK, slots)
        wrong += inspector.wrong(state, begin, end)
        reads += end - begin
        begin = int(rng.integers(0, max(rows - _BLOCK, 1)))
        end = min(begin + _BLOCK, rows)
        wrong += inspector.wrong_rows(state, begin, end)
        reads += end - begin
        wrong += inspector.missing(state, torture.lasting)
        reads += rows
    told.put({"reads": reads, "newest": newest, "generations": len(generations), "wrong": wrong[:10]})


def _look_at_newest(reader: ReplicaReader, inspector: Inspector) -> tuple[int, list[str]]:
    """What was published just now: whatever is half done is there."""
    state = reader.pin()
    assert state is not None
    rows, slots = int(state.segment["state"][STATE_ROWS]), int(state.segment["state"][STATE_SLOTS])
    state = _with_names(state)
    first_slot, first_row = max(slots - _NEWEST, 0), max(rows - _NEWEST, 0)
    wrong = inspector.wrong(state, first_slot, slots) + inspector.wrong_rows(state, first_row, rows)
    wrong += inspector.wrong_message(state, slots - 1)
    return slots - first_slot + rows - first_row, wrong


def _with_names(state: Pinned) -> Pinned:
    """With the names of the slots that were published after it was pinned."""
    return Pinned(state.generation, state.generation.dictionaries(), state.sequence)


def _answer(told: Told) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = told.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise TimeoutError("a process did not answer") from None
    return answer


@click.command()
@click.option("--reads", type=float, default=1e8, help="Records to read, over all readers.")
@click.option("--readers", type=int, default=1)
@click.option("--json", "as_json", is_flag=True)
def main(reads: float, readers: int, as_json: bool) -> None:
    """Records read while one process writes as fast as it can; the exit status is 1 if any was wrong."""
    with TemporaryDirectory(prefix="nearcast-torture-", dir="/dev/shm") as directory:
        outcome = Torture(int(reads) // readers, readers).run(Path(directory))
    if not as_json:
        head = (
            "records read",
            "of them just published",
            "generations",
            "changes",
            "statistics",
            "s",
            "wrong",
        )
        row = (outcome.reads, outcome.newest, outcome.generations, outcome.changes, outcome.statistics)
        print_table("Torture", head, [(*row, outcome.seconds, len(outcome.wrong))])
    wrong = at_most(f"wrong records of {outcome.reads:,} read", "none", float(len(outcome.wrong)), 0.0)
    data = "20,000 items, changed as fast as one process can, seed 1"
    finish(
        as_json,
        {"rows": [wrong], "data": data, "torture": outcome},
        ("processors other than this one",),
    )
    if outcome.wrong:
        raise SystemExit("\n".join(outcome.wrong))


if __name__ == "__main__":
    main()
