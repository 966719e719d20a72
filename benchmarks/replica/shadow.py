"""Random requests, asked of replica and Redis both, while items are born, moved, changed and expire.

`python -m benchmarks.replica.shadow`. In one process: what applies changes to Redis, a replica that follows,
and the check that gateways make of a share of their requests, here of all. Exit status 1 on a difference;
with `--mistakes` the replica's writer is a careless one, and the exit status is 1 if that is not found out.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
from prometheus_client import CollectorRegistry

from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import at_most
from benchmarks.replica.mistakes import MISTAKES, ONE_IN, careless
from benchmarks.replica.town import TENANT, Churn, make_view, searches
from nearcast_catalogue.item import ServedItem
from nearcast_cli.embedded import EmbeddedServers
from nearcast_compiling.native import IS_NATIVE
from nearcast_replica.answering import answerer
from nearcast_replica.files import Files
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from nearcast_server.answering import ReplicaFinder
from nearcast_server.finding import Search
from nearcast_server.replicas import Replicas
from nearcast_server.searching import IndexFinder
from nearcast_server.shadowing import SECOND_LOOK_S, Comparison, Shadow
from nearcast_server.tenancy import Tenancies
from nearcast_server.versions import HeldVersions
from nearcast_store.connection import RedisConnection
from nearcast_store.index.following import IndexFollower
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.index.replicating import Replicator
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

BUILD = "shadow"
REFRESH_S = 0.2
CHANGES_EVERY_S = 0.05
SAID_EVERY_S = 10.0
# So many are looked at, or wait for a second look, at any time.
UNDER_WAY = 64
FOUND_WITHIN = 20_000
UNMEASURED = ("order and scores, which tests compare", "several processes on one replica")


@dataclass
class Tally:
    """What was compared, and what went on meanwhile."""

    requests: int = 0
    requests_different: int = 0
    second_looks: int = 0
    items_alike: int = 0
    items_different: int = 0
    items_skipped: int = 0
    changes: int = 0
    generations: int = 0
    seconds: float = 0.0


class House:
    """Both sides, and what keeps them moving until `stop`."""

    def __init__(
        self,
        url: str,
        directory: Path,
        items: int,
        changes_per_s: int,
        seed: int,
        make_writer: type[SegmentWriter] = SegmentWriter,
    ) -> None:
        self._url = url
        self._make_writer = make_writer
        self._files = Files(directory / "hot", directory / "cold", "shadow", TENANT)
        self._items = items
        self._per_turn = max(round(changes_per_s * CHANGES_EVERY_S), 1)
        self._seed = seed
        self.view = make_view()
        self.churn = Churn(seed)
        self.stop = asyncio.Event()
        self.tally = Tally()

    async def compare(self, requests: int, *, until_found: bool = False) -> Tally:
        """So many requests; fewer when it is to end with the first difference."""
        async with AsyncExitStack() as stack:
            connection = RedisConnection(self._url, command_timeout_s=30.0)
            stack.push_async_callback(connection.close)
            client = open_client(self._url, command_timeout_s=30.0)
            stack.push_async_callback(client.aclose)
            writer = self._make_writer(
                self._files,
                BUILD,
                tuple(sorted(self.view.evidence.numbers)),
                time.time,
                Reserve(shortest_tail=2000),
            )
            stack.callback(writer.close)
            relay, index = RedisIndexWriter(client), RedisGeoIndex(connection)
            await relay.refill(TENANT, 0, _batches(self.churn, self._items))
            replicator = Replicator(IndexFollower(connection), writer, self._files, lambda _: b"")
            while await replicator.step():
                pass
            tenancies = Tenancies()
            tenancies.publish(self.view)
            replicas = Replicas(lambda _: self._files, BUILD, tenancies, answerer, time.time)
            await replicas.open()
            comparison = Comparison(
                ReplicaFinder(replicas), IndexFinder(index), HeldVersions(replicas, index)
            )
            metrics = Metrics(CollectorRegistry(), SERVER_METRICS)
            shadow = Shadow(1.0, comparison, lambda: 0.0, time.time, metrics)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._change(relay))
                tasks.create_task(self._follow(replicator))
                tasks.create_task(replicas.run(REFRESH_S, self.stop))
                await self._ask(shadow, requests, until_found)
                self.stop.set()
            vitals = replicas.vitals(TENANT)
            self.tally.generations = 0 if vitals is None else vitals.generation
        self.tally.changes = self.churn.sequence
        return self.tally

    async def _change(self, relay: RedisIndexWriter) -> None:
        while not self.stop.is_set():
            await relay.apply(TENANT, self.churn.next(self._per_turn))
            await _pause(self.stop, CHANGES_EVERY_S)

    async def _follow(self, replicator: Replicator) -> None:
        while not self.stop.is_set():
            await _pause(self.stop, 0.0 if await replicator.step() else CHANGES_EVERY_S)

    async def _ask(self, shadow: Shadow, requests: int, until_found: bool) -> None:
        tally, began_s = self.tally, time.perf_counter()
        room, said_s = asyncio.Semaphore(UNDER_WAY), began_s
        async with asyncio.TaskGroup() as tasks:
            for search in islice(searches(self.view, self._seed), requests):
                await room.acquire()
                if until_found and tally.requests_different:
                    break
                tasks.create_task(self._check(shadow, msgspec.structs.replace(search, now=time.time()), room))
                if time.perf_counter() - said_s > SAID_EVERY_S:
                    said_s = time.perf_counter()
                    progress(f"{tally.requests:,} requests, {self.churn.sequence:,} changes")
        tally.seconds = time.perf_counter() - began_s

    async def _check(self, shadow: Shadow, search: Search, room: asyncio.Semaphore) -> None:
        """As the gateway does it."""
        tally = self.tally

        async def pause() -> None:
            tally.second_looks += 1
            await asyncio.sleep(SECOND_LOOK_S)

        found = await shadow.check(search, pause)
        tally.requests += 1
        tally.requests_different += bool(found.different)
        tally.items_alike += found.alike
        tally.items_different += len(found.different)
        tally.items_skipped += found.skipped
        room.release()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _batches(churn: Churn, count: int) -> AsyncIterator[list[ServedItem]]:
    for begin in range(0, count, 1000):
        yield churn.born(min(1000, count - begin))


@click.command()
@click.option("--requests", default=100_000, show_default=True)
@click.option("--items", default=1_500, show_default=True)
@click.option("--changes", default=200, show_default=True, help="Changes a second.")
@click.option("--seed", default=4, show_default=True)
@click.option("--mistakes", is_flag=True, help="Plant one mistake after the other instead.")
@click.option("--json", "as_json", is_flag=True)
def main(requests: int, items: int, changes: int, seed: int, mistakes: bool, as_json: bool) -> None:
    """Differences count that are still there a second later, of items both hold in the same version."""
    progress(f"machine code: {'yes' if IS_NATIVE else 'no'}; {items:,} items")
    if mistakes:
        found = {each: compared(FOUND_WITHIN, items, changes, seed, each)[0] for each in MISTAKES}
        _tell_mistakes(found, as_json)
        sys.exit(0 if all(each.requests_different for each in found.values()) else 1)
    tally, made = compared(requests, items, changes, seed)
    data = f"{items:,} items around five cities, {changes:,} changes/s, seed {seed}"
    _tell(tally, made, data, as_json)
    sys.exit(1 if tally.requests_different else 0)


def compared(
    requests: int, items: int, changes: int, seed: int, mistake: str = ""
) -> tuple[Tally, Mapping[str, int]]:
    """With a Redis of its own; what was compared, and what the changes were. A mistake ends it when found."""
    with TemporaryDirectory(prefix="nearcast-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with EmbeddedServers(directory / "state") as endpoints:
            make_writer = careless(mistake) if mistake else SegmentWriter
            house = House(endpoints.redis_url, directory, items, changes, seed, make_writer)
            tally = asyncio.run(house.compare(requests, until_found=bool(mistake)))
    return tally, house.churn.made


def _tell(tally: Tally, made: Mapping[str, int], data: str, as_json: bool) -> None:
    looked_at = max(tally.items_alike + tally.items_different + tally.items_skipped, 1)
    rows = [
        ("requests compared", f"{tally.requests:,}"),
        ("of those different", f"{tally.requests_different:,}"),
        ("looked at twice", f"{tally.second_looks:,}"),
        ("items alike", f"{tally.items_alike:,}"),
        ("items different", f"{tally.items_different:,}"),
        ("items skipped, of another version on one side", f"{tally.items_skipped:,}"),
        ("skipped share", f"{tally.items_skipped / looked_at:.4%}"),
        ("changes meanwhile", f"{tally.changes:,} ({dict(made)})"),
        ("generations", f"{tally.generations:,}"),
        ("seconds", f"{tally.seconds:,.0f}"),
    ]
    if not as_json:
        print_table("Replica beside Redis", ("what", "how many"), rows)
    differing = f"requests of {tally.requests:,} answered differently by Redis"
    judged = at_most(differing, "none", float(tally.requests_different), 0.0)
    finish(as_json, {"rows": [judged], "data": data, **asdict(tally)}, UNMEASURED)


def _tell_mistakes(found: Mapping[str, Tally], as_json: bool) -> None:
    rows = [
        (mistake, "yes" if tally.requests_different else "NO", tally.requests, tally.changes // ONE_IN)
        for mistake, tally in found.items()
    ]
    if not as_json:
        print_table(
            f"Writers that get one change in {ONE_IN} wrong",
            ("mistake", "found out", "requests until then", "made until then"),
            rows,
        )
    finish(as_json, {mistake: asdict(tally) for mistake, tally in found.items()}, UNMEASURED)


if __name__ == "__main__":
    main()
