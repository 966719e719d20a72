"""What a decision costs beside an empty call: `python -m benchmarks.recommend`."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from statistics import median
from typing import Any

import click
import grpc
import msgspec

from benchmarks.events.house import ROOT, House, open_house, postings_of
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.usage import cpu_alone_s
from benchmarks.recommend import world
from benchmarks.recommend.load import Answered, Job
from benchmarks.recommend.plain import Plain
from benchmarks.recommend.wall import BARE, PLAIN, WRAPPED
from nearcast.v1 import recommend_pb2, recommend_pb2_grpc
from nearcast_store.connection import RedisConnection

RECOMMEND = "/nearcast.v1.RecommendService/Recommend"
CONNECTIONS, UNDER_WAY = 8, 32
# More than these of 8,000 candidates each, all read from Redis, only wait for one another.
UNDER_WAY_8000 = 4
WARM_S = 0.5
PATIENCE_S = 60.0
FROM_REDIS = recommend_pb2.DEGRADED_REASON_CANDIDATES_FROM_REDIS
PATIENT = {"NEARCAST_REDIS__COMMAND_TIMEOUT_S": "10"}
GOALS = {"anonymous, 400": 0.80, "signed in, 400": 0.65}
UNMEASURED = (
    "what a server answers in a second with a core of its own: the load takes about as much as it",
    "other sizes of items and answers, filters, and more than one worker",
)


class Server(msgspec.Struct, frozen=True):
    """A process that answers, and the key to it."""

    pid: int
    address: str
    key: str


class Way(msgspec.Struct, frozen=True):
    """One thing to measure: a server, and what it is asked."""

    name: str
    server: Server
    path: str
    bodies: list[bytes]
    under_way: int

    @classmethod
    def anonymous(cls, name: str, server: Server, path: str, size: int) -> "Way":
        """A question of nobody known."""
        under_way = UNDER_WAY_8000 if size == max(world.SIZES) else UNDER_WAY
        return cls(name, server, path, world.anonymous(size), under_way)


class Run(msgspec.Struct, frozen=True):
    """One measurement; a call takes `cpu_us` of the process that serves, `load_us` of the one that asks."""

    name: str
    calls_per_s: float
    cpu_us: float
    load_us: float
    p50_ms: float
    p99_ms: float
    open_p50_ms: float
    open_p99_ms: float
    size_bytes: int


class Loader:
    """The process that asks."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def measure(self, way: Way, rate: float, seconds: float) -> tuple[Answered, float]:
        """What it saw, and the seconds of processor time that the server took meanwhile."""
        server = way.server
        job = Job(
            *(server.address, way.path, server.key, way.bodies, CONNECTIONS, way.under_way),
            *(rate, WARM_S, seconds),
        )
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        await self._hears("begun")
        before_s = cpu_alone_s(way.server.pid)
        await self._hears("done")
        used_s = cpu_alone_s(way.server.pid) - before_s
        return msgspec.convert((await self._hears("answered"))["answered"], Answered), used_s

    async def _hears(self, event: str) -> dict[str, Any]:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said: dict[str, Any] = msgspec.json.decode(line)
            if said["event"] == event:
                return said
        raise RuntimeError(f"the load ended before it was {event}")


@asynccontextmanager
async def _process(module: str, *arguments: str, said: bytes = b"") -> AsyncIterator[Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        if said:
            assert process.stdin
            process.stdin.write(said)
            process.stdin.close()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _plain(url: str) -> None:
    redis = RedisConnection(url)
    await Plain(redis).fill(
        (one.item_id.encode(), one.locations[0].latitude, one.locations[0].longitude) for one in world.items()
    )
    await redis.close()


async def _walls(stack: AsyncExitStack, house: House, answer: bytes) -> list[Way]:
    """The same bytes for the same size, whatever is done for them."""
    url = house.endpoints.redis_url
    await _plain(url)
    process = await stack.enter_async_context(_process("benchmarks.recommend.wall", url, said=answer))
    told = msgspec.json.decode(await process.stdout.readline())
    server = Server(process.pid, f"127.0.0.1:{told['port']}", told["key"])
    return [
        Way.anonymous("empty call", server, BARE, 400),
        Way.anonymous("empty call in our wrapper", server, WRAPPED, 400),
        *(Way.anonymous(f"plain way, {size:,}", server, PLAIN, size) for size in world.SIZES),
    ]


async def _gateway(house: House, candidates: str) -> list[Way]:
    gateway = await house.start(candidates, "serve", **PATIENT, NEARCAST_GATEWAY__CANDIDATES=candidates)
    server = Server(gateway.child.pid, house.address(gateway), house.key)
    return [
        *(
            Way.anonymous(f"{candidates}: anonymous, {size:,}", server, RECOMMEND, size)
            for size in world.SIZES
        ),
        Way(f"{candidates}: signed in, 400", server, RECOMMEND, world.signed_in(400), UNDER_WAY),
    ]


async def _answer(house: House, way: Way) -> bytes:
    """The first that is whole, from where it shall come."""
    request = recommend_pb2.RecommendRequest.FromString(way.bodies[0])
    async with (
        grpc.aio.insecure_channel(way.server.address) as channel,
        asyncio.timeout(PATIENCE_S),
    ):
        stub, answer = recommend_pb2_grpc.RecommendServiceStub(channel), recommend_pb2.RecommendResponse()
        while len(answer.items) != world.LIMIT or FROM_REDIS in answer.degraded_reasons:
            await asyncio.sleep(0.2)
            with suppress(grpc.aio.AioRpcError):
                answer = await stub.Recommend(request, metadata=house.metadata)
    return answer.SerializeToString()


async def _ways(stack: AsyncExitStack, house: House, candidates: Sequence[str]) -> list[Way]:
    first = await house.start("filling", "serve", NEARCAST_GATEWAY__CANDIDATES="redis")
    await world.fill(house, first)
    house.stop(first)
    await world.remember(house, await postings_of(house), int(time.time() * 1000))
    await house.start("keeper", "keeper")
    decided = [way for each in candidates for way in await _gateway(house, each)]
    answers = {way.name: await _answer(house, way) for way in decided}
    of_400 = next(answer for name, answer in answers.items() if "anonymous, 400" in name)
    return [*await _walls(stack, house, of_400), *decided]


async def _all(candidates: Sequence[str], seconds: float, rounds: int) -> list[Run]:
    """In turns, so that a busy machine is busy for all; open-loop at half of what was answered before."""
    runs = []
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        ways = await _ways(stack, house, candidates)
        loader = Loader(await stack.enter_async_context(_process("benchmarks.recommend.load")))
        for number in range(rounds):
            for way in ways:
                closed, used_s = await loader.measure(way, 0.0, seconds)
                rate = closed.calls / closed.seconds
                opened, _ = await loader.measure(way, rate / 2, seconds)
                runs.append(_run(way, closed, used_s, opened))
            progress(f"round {number + 1} of {rounds}")
    return runs


def _run(way: Way, closed: Answered, used_s: float, opened: Answered) -> Run:
    return Run(
        way.name,
        closed.calls / closed.seconds,
        1e6 * used_s / closed.calls,
        1e6 * closed.own_cpu_s / closed.calls,
        closed.p50_ms,
        closed.p99_ms,
        opened.p50_ms,
        opened.p99_ms,
        closed.size_bytes,
    )


def _medians(runs: Sequence[Run]) -> list[Run]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    fields = Run.__struct_fields__[1:]
    return [
        Run(name, *(median(getattr(run, field) for run in same) for field in fields))
        for name, same in by_name.items()
    ]


def _rows(middle: Sequence[Run]) -> list[list[object]]:
    wall = middle[0]
    return [
        [*msgspec.structs.astuple(run), run.calls_per_s / wall.calls_per_s, wall.cpu_us / run.cpu_us]
        for run in middle
    ]


HEAD = (
    *(
        "",
        "calls/s",
        "CPU us/call",
        "load us/call",
        "p50 ms",
        "p99 ms",
        "open p50 ms",
        "open p99 ms",
        "bytes",
    ),
    *("calls/s : empty", "calls/CPU s : empty"),
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=5.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured, in turns.")
@click.option("--candidates", default="redis,replica", show_default=True, help="Where they come from.")
@click.option("--quick", is_flag=True, help="Three rounds of one and a half seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(seconds: float, rounds: int, candidates: str, quick: bool, as_json: bool) -> None:
    """Recommend beside an empty call and the plain way: 40, 400 and 8,000 candidates, answers of 20 items."""
    if quick:
        seconds, rounds = 1.5, 3
    runs = asyncio.run(_all(candidates.split(","), seconds, rounds))
    middle = _medians(runs)
    if not as_json:
        print_table(f"Medians of {rounds}, in turns", HEAD, _rows(middle))
        print(f"\nGoals, calls/s beside an empty call: {', '.join(f'{k} {v}' for k, v in GOALS.items())}.")
    finish(as_json, {"runs": runs, "medians": middle, "goals": GOALS}, UNMEASURED)


if __name__ == "__main__":
    command()
