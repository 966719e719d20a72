"""Faults drawn by a seed while a client lives, and processes that die at armed points besides."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import asyncpg
from redis.exceptions import RedisError

from tests.faults.house import ITEMS, House
from tests.faults.proxy import Fate, Proxy, Trap, at_append, at_commit
from tests.faults.station import Moment, Station
from tests.faults.waiting import rest
from tests.gateways import eventually

WORKERS = 6
LONGEST_FAULT_S = 40.0
GATEWAY_POINTS = ("gateway.after_parse", "gateway.after_append_before_reply")
KEEPER_POINTS = (
    "keeper.after_read",
    "keeper.after_copy",
    "keeper.before_commit",
    "keeper.after_commit_before_ack",
)
RELAY_POINTS = ("relay.before_apply", "relay.after_apply")
AWAY = (OSError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Chaos:
    """`kills` counts those at an armed point, or with at least one entry in flight; no other is counted."""

    def __init__(self, house: House, seed: int, tell: Callable[[str], None]) -> None:
        self._house = house
        self._random = Random(f"{seed}/faults")
        self._armings = {station.name: Random(f"{seed}/{station.name}") for station in house.stations}
        self._writes = Random(f"{seed}/items")
        self._tell = tell
        self._calm = asyncio.Event()
        self._faults = self._all_faults()
        self._bag: list[str] = []
        self.kills: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float, least_kills: int) -> None:
        """For so long, and until so many kills counted and every fault had its turn; then heal."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        for station in self._house.stations:
            await station.kill()
        self._house.client.lines = self._house.lines
        self._house.client.begin(WORKERS)
        nurses = [asyncio.create_task(self._nurse(station)) for station in self._house.stations]
        writer = asyncio.create_task(self._write_items())
        try:
            while loop.time() < ends_at or self._owes(least_kills):
                await rest(self._random.uniform(0.02, 0.25))
                await self._next_fault()
        finally:
            self._calm.set()
            await self._heal(nurses, writer)

    def summary(self) -> str:
        """Kills by what was killed, and what was sent meanwhile."""
        kills = ", ".join(f"{what} {times}" for what, times in sorted(self.kills.items()))
        return f"{self.kills.total()} kills ({kills}); {len(self._house.client.acked)} batches acknowledged"

    def _owes(self, least_kills: int) -> bool:
        return self.kills.total() < least_kills or len(self.done) < len(self._faults)

    async def _next_fault(self) -> None:
        if not self._bag:
            self._bag = sorted(self._faults)
            self._random.shuffle(self._bag)
        name = self._bag.pop()
        try:
            async with asyncio.timeout(LONGEST_FAULT_S):
                await self._faults[name]()
        except TimeoutError:
            raise
        except AWAY:
            # A server that another fault has just taken away cannot be hurt; its turn comes again.
            return
        self.done[name] += 1
        self._tell(name)

    async def _heal(self, nurses: list[asyncio.Task[None]], writer: asyncio.Task[None]) -> None:
        house = self._house
        for proxy in house.proxies.all():
            proxy.mend()
        await self._end(nurses, writer)
        await asyncio.gather(*(station.start() for station in (*house.gateways, house.keepers[0])))
        await house.client.end()
        house.client.lines = house.lines[:1]

    async def _end(self, nurses: list[asyncio.Task[None]], writer: asyncio.Task[None]) -> None:
        """A nurse may have a process on its way just now, which begins after the others were killed."""
        running: set[asyncio.Task[None]] = {writer, *nurses}
        while running:
            await asyncio.gather(*(station.kill() for station in self._house.stations))
            _, running = await asyncio.wait(running, timeout=1.0)
        await asyncio.gather(writer, *nurses)

    async def _nurse(self, station: Station) -> None:
        """Start the next process when one dies; each is armed in its own way."""
        while not self._calm.is_set():
            child = await station.begin(self._arming(station))
            await child.ended(within_s=None)
            if child.killed_itself:
                point = station.arming.partition("=")[0]
                self.kills[point] += 1
                self._tell(f"{station.name} died at {point}")

    def _arming(self, station: Station) -> str:
        random = self._armings[station.name]
        if station in self._house.gateways:
            return f"{random.choice(GATEWAY_POINTS)}=kill:{random.uniform(0.01, 0.05):.4f}"
        if random.random() < 0.3:
            return f"{random.choice(RELAY_POINTS)}=kill:{random.uniform(0.1, 0.5):.4f}"
        return f"{random.choice(KEEPER_POINTS)}=kill:{random.uniform(0.02, 0.1):.4f}"

    async def _write_items(self) -> None:
        """Move items about, so that the relay has something to carry."""
        number = 0
        while not self._calm.is_set():
            number += 1
            titles = [f"Item {place} of {number}" for place in range(self._writes.randrange(1, ITEMS))]
            writing = asyncio.ensure_future(self._house.put_items(titles, self._writes.randrange(2)))
            calm = asyncio.ensure_future(self._calm.wait())
            await asyncio.wait({writing, calm}, return_when=asyncio.FIRST_COMPLETED)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            calm.cancel()
            await rest(0.1)

    def _all_faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        proxies = self._house.proxies
        return {
            "gateway killed": self._kill_gateway,
            "keeper killed": self._kill_keeper,
            "postgres backend killed": lambda: self._kill(
                "postgres backend", self._house.unfinished, self._house.kill_backend
            ),
            "postmaster killed": lambda: self._kill(
                "postmaster", self._house.unfinished, self._house.kill_postmaster
            ),
            "redis killed": lambda: self._kill("redis", self._house.client.busy, self._house.kill_redis),
            "redis emptied": self._empty_redis,
            "redis frozen": self._freeze_redis,
            "gateway frozen": lambda: self._freeze(self._house.gateways[0], 1.2),
            "keeper frozen": lambda: self._freeze(self._house.keepers[0], 1.5),
            "cut before COMMIT": lambda: self._trap(proxies.keeper_postgres, at_commit(Fate.CUT_BEFORE)),
            "cut after COMMIT": lambda: self._trap(proxies.keeper_postgres, at_commit(Fate.CUT_AFTER)),
            "append cut in two": lambda: self._trap(proxies.log, at_append(Fate.CUT_WITHIN)),
            "append's reply lost": lambda: self._trap(proxies.log, at_append(Fate.CUT_AFTER)),
            "answer lost": lambda: self._trap(
                proxies.gateways[0], Trap(Fate.CUT_BEFORE, to_server=False, times=2)
            ),
            "acknowledgement cut": lambda: self._trap(proxies.keeper_redis, Trap(Fate.CUT_BEFORE, b"XACK")),
            "everything slow": self._slow,
            "postgres half open": self._half_open,
            "client killed": self._kill_client,
        }

    async def _kill_gateway(self) -> None:
        """One that has been sent something and has not answered."""
        place = self._random.randrange(len(self._house.gateways))
        await self._kill("gateway", self._house.lines[place].busy, self._house.gateways[place].kill)

    async def _kill_keeper(self) -> None:
        keeper = self._random.choice(self._house.keepers)
        await self._kill("keeper", self._house.unfinished, keeper.kill)

    async def _kill(
        self, name: str, in_flight: Callable[[], Awaitable[int]], kill: Callable[[Moment], Awaitable[bool]]
    ) -> None:
        """Once something is under way there, which is waited for a little; else it does not count."""
        counts = False

        async def moment() -> None:
            nonlocal counts
            with suppress(AssertionError):
                counts = bool(await eventually(in_flight, 1.0))

        killed = await kill(moment)
        self.kills[name] += killed and counts

    async def _kill_client(self) -> None:
        """Everything it knew is gone, but its journal."""
        await self._house.client.end()
        self._house.client.begin(WORKERS)
        await self._house.client.take_up()

    async def _empty_redis(self) -> None:
        """What was acknowledged since the log was drained may be lost with it."""
        client = self._house.client
        await client.pause()
        await self._house.drained()
        acked = len(client.acked)
        client.resume()
        with suppress(AssertionError):
            await eventually(client.busy, 1.0)
        await self._house.redis.flushall()
        await client.pause()
        client.forgive_since(acked)
        client.resume()

    async def _freeze(self, station: Station, seconds: float) -> None:
        if station.alive:
            station.freeze()
            await rest(seconds)
            station.thaw()

    async def _freeze_redis(self) -> None:
        pid = await self._house.redis_pid()
        os.kill(pid, signal.SIGSTOP)
        await rest(0.6)
        os.kill(pid, signal.SIGCONT)

    async def _trap(self, proxy: Proxy, trap: Trap) -> None:
        proxy.set(trap)
        with suppress(TimeoutError):
            await trap.springs(2.0)

    async def _slow(self) -> None:
        for proxy in self._house.proxies.all():
            proxy.delay_s = self._random.uniform(0.005, 0.03)
        await rest(0.6)
        for proxy in self._house.proxies.all():
            proxy.delay_s = 0.0

    async def _half_open(self) -> None:
        self._house.proxies.keeper_postgres.hold()
        await rest(0.6)
        self._house.proxies.keeper_postgres.mend()
