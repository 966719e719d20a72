"""A long run of items that come and go: does memory stay? `python -m benchmarks.replica.soak`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import click
from msgspec import Struct

from benchmarks.events.house import House, Process, open_house, put_items
from benchmarks.events.load import sender
from benchmarks.events.memory import Sampler
from benchmarks.events.report import finish, print_table
from benchmarks.events.usage import anonymous_kib, arguments, family, shared_kib
from benchmarks.events.watching import (
    HEAD,
    WARM_UP,
    Judged,
    goals,
    judged,
    rows,
    wait_for_a_whole_hour,
    watch,
)
from benchmarks.replica.life import Life, lived
from benchmarks.replica.living import Job
from nearcast_store.redis_client import open_client

# Events are of items that stay, as a count stays known for as long as its hour is kept.
STAYING, PEOPLE, EVENTS_PER_S = 100, 200, 500.0
ITEMS, TURN_S, CHANGES, BIRTHS = 10_000, 0.5, 25, 25
ASKS_PER_S = 20.0
SHARED = "memory that gateways and scribe share"
UNMEASURED = (
    "memory by its owner within a process",
    "what counts of new items take: they are kept with their hour",
    "files that are mapped, Postgres's shared buffers and the event log: they grow to a limit that is set",
)


class Soaked(Struct, frozen=True):
    """What a run found, and what was done meanwhile."""

    memory: Judged
    done: Mapping[str, int]
    living: tuple[int, int]


async def _measure(minutes: float) -> Soaked:
    await wait_for_a_whole_hour(minutes * 60)
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        gateway = await _started(house)
        redis = open_client(house.endpoints.redis_url)
        stack.push_async_callback(redis.aclose)
        connection = await asyncpg.connect(house.endpoints.postgres_dsn)
        stack.push_async_callback(connection.close)
        load = await stack.enter_async_context(
            sender(house, gateway, batch=20, seconds=86_400.0, rate_per_s=EVENTS_PER_S, people=PEOPLE)
        )
        life = await stack.enter_async_context(_life(house, gateway))
        load.go()
        life.go()
        await load.hears("warm")
        sampler = Sampler(house, redis, connection, _apart)
        began = await _living(connection)
        samples = await life.during(watch(sampler, minutes * 60))
        ended = await _living(connection)
        load.end()
        done = await life.end()
    return Soaked(judged(samples), done, (began, ended))


async def _started(house: House) -> Process:
    """Two workers, a scribe and a keeper, with the items that stay."""
    settings = {"NEARCAST_REPLICA__DIRECTORY": str(house.directory / "replica")}
    gateway = await house.start("gateway", "serve", "--workers", "2", **settings)
    await house.start("keeper", "keeper")
    await put_items(house, gateway, STAYING)
    return gateway


@asynccontextmanager
async def _life(house: House, gateway: Process) -> AsyncIterator[Life]:
    job = Job(
        address=house.address(gateway),
        key=house.key,
        items=ITEMS,
        turn_s=TURN_S,
        changes=CHANGES,
        births=BIRTHS,
        life_s=ITEMS * TURN_S / BIRTHS,
        asks_per_s=ASKS_PER_S,
    )
    async with lived(job) as life:
        yield life


def _apart(name: str, pids: Sequence[int]) -> dict[str, float]:
    """Each process by itself, and what the gateway's share as one."""
    found = {each for pid in pids for each in family(pid)}
    kib = {f"{_role(pid, name)} {pid}": float(anonymous_kib(pid)) for pid in found}
    if name == "gateway":
        kib[SHARED] = float(sum(shared_kib(pid) for pid in found))
    return kib


def _role(pid: int, name: str) -> str:
    """What `serve` starts says so in its arguments."""
    told = arguments(pid)
    return "scribe" if "scribe" in told else "worker" if "--worker" in told else name


async def _living(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    count: int = await connection.fetchval("select count(*) from items where deleted_at is null")
    return count


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=30.0, show_default=True, help="How long.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(minutes: float, as_json: bool) -> None:
    """Let as many items be born as end and expire, and watch the memory of every process."""
    soaked = asyncio.run(_measure(minutes))
    if not as_json:
        per_s = (CHANGES + 2 * BIRTHS) / TURN_S
        print_table(
            f"Own memory over {minutes:g} minutes at {per_s:g} changes/s, judged from {WARM_UP:.0%} on",
            HEAD,
            rows(soaked.memory),
        )
        done = ", ".join(f"{what} {count:,}" for what, count in soaked.done.items())
        print(f"\nItems: {soaked.living[0]:,}, {soaked.living[1]:,}. Done: {done}.")
    data = f"{ITEMS + STAYING:,} items, of which {ITEMS:,} come and go, {minutes:g} minutes"
    finish(as_json, {"rows": goals(soaked.memory), "data": data, "soaked": soaked}, UNMEASURED)


if __name__ == "__main__":
    command()
