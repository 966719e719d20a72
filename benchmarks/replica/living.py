"""A town over gRPC, a process of its own: items are born, change, end and expire, and people ask for items.

Reads a job as JSON from its arguments, puts the first items, says ready, and begins at a line of input. It
says which probe was `acknowledged` when and, after another line, `ended` with how much was done.
"""

import asyncio
import heapq
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import grpc
import msgspec
import uvloop
from msgspec import Struct

from nearcast.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    item_pb2,
    location_pb2,
    person_pb2,
    recommend_pb2,
    recommend_pb2_grpc,
)

OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
LATITUDE, LONGITUDE, SPREAD_DEGREES = 59.91, 10.75, 0.5
# Far from everything else, so that one question finds them all.
PROBES_AT = location_pb2.LatLng(latitude=10.0, longitude=10.0)
PUT_AT_ONCE = 500
TIMEOUT_S = 30.0
# The same call again, where a gateway asks for that: on a busy machine a store may take too long.
TRIES, TRIED_AGAIN_AFTER_S = 5, 1.0
# What ends so soon is left alone: a change that comes too late would begin another life.
LEFT_ALONE_S = 20.0
RADIUS_M = 3_000.0
PEOPLE = 200
TAGS = [f"tag-{number}" for number in range(20)]
CATEGORIES = [f"category-{number}" for number in range(10)]
WORDS = ["oak", "river", "lamp", "cloud", "stone", "bread", "violet", "harbour", "copper", "meadow"]


class Job(Struct, frozen=True):
    """Every `turn_s` so many items change and so many are born; half of those expire, half are deleted.

    `life_s` 0 lets all live on. The first `probes` items lie at one place by themselves, and one of them is
    among the changes of every turn.
    """

    address: str
    key: str
    items: int
    turn_s: float
    changes: int
    births: int = 0
    life_s: float = 0.0
    probes: int = 0
    asks_per_s: float = 0.0
    connections: int = 8
    seed: int = 1


class Lives:
    """Which items there are, and until when."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._random = random.Random(job.seed)
        self._ends_at: list[float] = []
        self._deletions: list[tuple[float, int]] = []
        self._oldest = job.probes

    def first(self, now: float) -> Iterable[item_pb2.Item]:
        """As if it had gone on for ever: some end soon, the last in a whole life."""
        for number in range(self._job.items):
            share = (number + 1) / self._job.items
            yield self._born(now + LEFT_ALONE_S + share * self._job.life_s)

    def born(self, now: float) -> list[item_pb2.Item]:
        """The new ones of a turn."""
        ends_at = now + LEFT_ALONE_S + self._job.life_s
        return [self._born(ends_at) for _ in range(self._job.births)]

    def changed(self, now: float, probe: int | None) -> list[item_pb2.Item]:
        """Items that are there, somewhere else; the probe stays at its place and gets another title."""
        while self._oldest < len(self._ends_at) and self._ends_at[self._oldest] < now + LEFT_ALONE_S / 2:
            self._oldest += 1
        others = self._job.changes - (probe is not None)
        numbers = self._random.sample(range(self._oldest, len(self._ends_at)), others)
        return [self._item(each) for each in ([] if probe is None else [probe]) + numbers]

    def ended(self, now: float) -> list[str]:
        """Whose time is over and who do not expire by themselves; the rest another time, if they are many."""
        found: list[str] = []
        while self._deletions and self._deletions[0][0] <= now and len(found) < PUT_AT_ONCE:
            found.append(f"life-{heapq.heappop(self._deletions)[1]}")
        return found

    def _born(self, ends_at: float) -> item_pb2.Item:
        number = len(self._ends_at)
        is_lasting = not self._job.life_s or number < self._job.probes
        self._ends_at.append(float("inf") if is_lasting else ends_at)
        if not is_lasting and number % 2:
            heapq.heappush(self._deletions, (ends_at, number))
        return self._item(number)

    def _item(self, number: int) -> item_pb2.Item:
        rng = self._random
        item = item_pb2.Item(
            item_id=f"life-{number}",
            title=" ".join(rng.choices(WORDS, k=5)),
            url=f"https://example.com/items/{number}/{rng.getrandbits(64):016x}",
            category=rng.choice(CATEGORIES),
            tags=[item_pb2.Tag(name=name) for name in rng.sample(TAGS, 2)],
            locations=[PROBES_AT if number < self._job.probes else _somewhere(rng)],
        )
        if not number % 2 and self._ends_at[number] < float("inf"):
            item.expires_at.FromMilliseconds(round(self._ends_at[number] * 1000))
        return item


class Town:
    """Turns and questions come at their time, however long those before them take."""

    def __init__(self, job: Job, channels: Sequence[grpc.aio.Channel]) -> None:
        self._job = job
        self._channels = channels
        self._lives = Lives(job)
        self._random = random.Random(job.seed + 1)
        self._metadata = (("authorization", f"Bearer {job.key}"),)
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(channels[0])
        self.done: Counter[str] = Counter()
        self.stop = asyncio.Event()

    async def fill(self) -> None:
        """Put the first items."""
        waiting = list(self._lives.first(time.time()))
        for start in range(0, len(waiting), PUT_AT_ONCE):
            await self._upsert(waiting[start : start + PUT_AT_ONCE])

    async def live(self) -> None:
        """Until the stop."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._at_a_rate(1 / self._job.turn_s, self._turn))
            if self._job.asks_per_s:
                tasks.create_task(self._at_a_rate(self._job.asks_per_s, self._ask))

    async def _at_a_rate(self, per_s: float, act: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in count():
                await asyncio.sleep(max(began + number / per_s - time.perf_counter(), 0.0))
                if self.stop.is_set():
                    break
                tasks.create_task(act(number))

    async def _turn(self, number: int) -> None:
        now, probes = time.time(), self._job.probes
        probe = number % probes if probes else None
        items = [*self._lives.changed(now, probe), *self._lives.born(now)]
        answer = await self._upsert(items)
        if probe is not None:
            tell("acknowledged", item=probe, version=answer.results[0].version, at=time.monotonic())
        if ended := self._lives.ended(now):
            request = catalog_pb2.DeleteItemsRequest(item_ids=ended, allow_missing=True)
            await self._call(self._catalog.DeleteItems, request)
        self.done["changed"] += self._job.changes
        self.done["born"] += self._job.births
        self.done["deleted"] += len(ended)

    async def _upsert(self, items: Sequence[item_pb2.Item]) -> catalog_pb2.UpsertItemsResponse:
        request = catalog_pb2.UpsertItemsRequest(items=items)
        answer: catalog_pb2.UpsertItemsResponse = await self._call(self._catalog.UpsertItems, request)
        refused = [str(result) for result in answer.results if not result.posting]
        if refused:
            raise RuntimeError(f"an item was refused: {refused[0]}")
        return answer

    async def _call(self, call: Any, request: Any) -> Any:
        tries = 0
        while True:
            try:
                return await call(request, metadata=self._metadata, timeout=TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                tries += 1
                if error.code() is not grpc.StatusCode.UNAVAILABLE or tries == TRIES:
                    raise
            self.done["tried again"] += 1
            await asyncio.sleep(TRIED_AGAIN_AFTER_S)

    async def _ask(self, number: int) -> None:
        stub = recommend_pb2_grpc.RecommendServiceStub(self._channels[number % len(self._channels)])
        call: Any = stub.Recommend if number % 4 else stub.Nearby
        request = self._question() if number % 4 else self._look()
        answer = await self._call(call, request)
        self.done["asked"] += 1
        self.done["shown"] += len(answer.items)
        for reason in answer.degraded_reasons:
            self.done[recommend_pb2.DegradedReason.Name(reason)] += 1

    def _question(self) -> recommend_pb2.RecommendRequest:
        rng = self._random
        return recommend_pb2.RecommendRequest(
            location=_somewhere(rng),
            radius_m=RADIUS_M,
            limit=20,
            person=person_pb2.Person(user_id=f"user-{rng.randrange(PEOPLE)}"),
            exclude_seen=rng.random() < 0.5,
            filter=recommend_pb2.Filter(tags_none=rng.sample(TAGS, 2)),
        )

    def _look(self) -> recommend_pb2.NearbyRequest:
        rng = self._random
        wanted = recommend_pb2.Filter(categories=rng.sample(CATEGORIES, 5))
        return recommend_pb2.NearbyRequest(location=_somewhere(rng), radius_m=RADIUS_M, filter=wanted)


def _somewhere(rng: random.Random) -> location_pb2.LatLng:
    return location_pb2.LatLng(
        latitude=LATITUDE + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES),
        longitude=LONGITUDE + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES),
    )


def tell(event: str, **fields: Any) -> None:
    """One line for who measures."""
    sys.stdout.write(f"{msgspec.json.encode({'event': event, **fields}).decode()}\n")
    sys.stdout.flush()


async def main(job: Job) -> None:
    """Fill, wait for the word, live until the next."""
    told = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(told)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(job.address, options=OPTIONS))
            for _ in range(job.connections)
        ]
        town = Town(job, channels)
        await town.fill()
        tell("ready")
        await told.readline()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(town.live())
            await told.readline()
            town.stop.set()
        tell("ended", done=town.done)


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
