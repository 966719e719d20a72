"""The scribe that `nearcast serve` starts: what it writes all workers read, and nobody waits for it."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nearcast.v1 import catalog_pb2
from tests.crews import Crew, StartCrew, alive, crews
from tests.gateways import eventually, item, make_config, nearby, running_keeper

# New processes on a busy machine, each of which loads machine code or makes it.
SOON_S = 60.0
FROM_REPLICA = 'nearcast_server_candidates_total{source="replica"}'
RESYNCS = "nearcast_server_replica_resyncs"


@pytest.fixture
async def start_crew(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[StartCrew]:
    """With somebody who brings items to Redis."""
    async with (
        running_keeper(make_config(database, redis_url)),
        crews(database, redis_url, tmp_path) as start,
    ):
        yield start


async def put(crew: Crew, *item_ids: str) -> None:
    async with crew.channel() as channel:
        items = [item(item_id) for item_id in item_ids]
        await crew.call(channel, catalog_pb2.UpsertItemsRequest(items=items))


async def listed(crew: Crew) -> set[str]:
    """What a connection of its own is answered."""
    async with crew.channel() as channel:
        answer = await crew.call(channel, nearby(59.91, 10.75))
    return {found.item_id for found in answer.items}


async def from_replica(crew: Crew) -> set[str]:
    """What is near, once the replica says so; empty before."""
    before = await crew.number(FROM_REPLICA)
    found = await listed(crew)
    return found if await crew.number(FROM_REPLICA) > before else set()


async def shown(crew: Crew, *item_ids: str) -> None:
    """Return once the replica answers with these."""
    await eventually(lambda: from_replica(crew), SOON_S, lambda found: found == set(item_ids))


async def scribe_of(crew: Crew, other_than: int = 0) -> int:
    async def look() -> int:
        pid = crew.scribe()
        return 0 if pid is None or pid == other_than else pid

    return await eventually(look, SOON_S)


async def test_a_killed_scribe_is_started_again_and_no_answer_fails_meanwhile(start_crew: StartCrew) -> None:
    crew = await start_crew(NEARCAST_KERNEL="twin")
    await put(crew, "bakery")
    await shown(crew, "bakery")
    first = await scribe_of(crew)
    answers: list[set[str]] = []
    stop = asyncio.Event()

    async def call() -> None:
        async with crew.channel() as channel:
            while not stop.is_set():
                answer = await crew.call(channel, nearby(59.91, 10.75))
                answers.append({found.item_id for found in answer.items})

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(call())
        os.kill(first, signal.SIGKILL)
        assert (await crew.keeping.hears("scribe.ended"))["pid"] == first
        await put(crew, "cinema")
        await crew.keeping.hears("scribe.runs_again")
        await scribe_of(crew, other_than=first)
        await shown(crew, "bakery", "cinema")
        stop.set()
    assert len(answers) > 10
    assert all(answer in ({"bakery"}, {"bakery", "cinema"}) for answer in answers)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_scribe_whose_parent_is_killed_ends(start_crew: StartCrew, workers: str) -> None:
    crew = await start_crew("--workers", workers, ready=False, NEARCAST_KERNEL="twin")
    await crew.keeping.hears("gateway.ready")
    pid = await scribe_of(crew)
    await crew.keeping.hears("scribe.ready")
    crew.keeping.send(signal.SIGKILL)

    async def lives() -> bool:
        return alive(pid)

    await eventually(lives, SOON_S, lambda living: not living)


def mapped(pid: int, path: Path) -> dict[str, int]:
    """What a process holds of a file, in bytes by the kernel's names; empty if it has not mapped it."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    found = re.search(rf"^\S+ .* {re.escape(str(path))}\b.*\n((?:\w+:.*\n)+)", text, re.MULTILINE)
    lines = found[1].splitlines() if found else []
    return {
        name: int(rest.split()[0]) << 10
        for name, _, rest in (line.partition(":") for line in lines)
        if "kB" in rest
    }


async def test_all_workers_and_the_scribe_map_one_copy(start_crew: StartCrew) -> None:
    crew = await start_crew()
    await put(crew, *(f"item-{number}" for number in range(20)))
    everybody = [*crew.pids().values(), await scribe_of(crew)]

    async def held() -> list[dict[str, int]]:
        """Of the newest generation, by workers and scribe."""
        newest = max(crew.files.numbers(), default=0)
        return [mapped(pid, crew.files.generation(newest)) for pid in everybody]

    def is_whole(found: list[dict[str, int]]) -> bool:
        """A worker touches all of it before it answers from it."""
        return all(found) and all(each["Rss"] == each["Size"] for each in found[:2])

    await eventually(held, SOON_S, is_whole)
    found = await held()
    (size,) = {each["Size"] for each in found}
    assert size > 1 << 20
    assert [each["Private_Dirty"] + each["Private_Clean"] for each in found[:2]] == [0, 0]
    # Each page counts by the share of those who hold it: together they hold the file once.
    assert sum(each["Pss"] for each in found) <= 1.05 * size


async def test_what_was_saved_answers_again_and_redis_is_not_read_anew(start_crew: StartCrew) -> None:
    first = await start_crew()
    await put(first, "bakery", "cinema")
    await shown(first, "bakery", "cinema")
    assert len(first.keeping.heard["scribe.read_anew"]) == 1
    first.keeping.send(signal.SIGTERM)
    assert await first.keeping.ended() == 0
    assert first.files.manifest.exists()
    assert not first.files.generation(max(first.files.numbers(), default=0)).exists()

    second = await start_crew()
    await shown(second, "bakery", "cinema")
    await put(second, "museum")
    await shown(second, "bakery", "cinema", "museum")
    assert "scribe.read_anew" not in second.keeping.heard
    assert await second.number(RESYNCS) == 1
