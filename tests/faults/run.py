"""The chaos for as long as wished: `python -m tests.faults.run --seconds 3600 --seed 7`; exit 1 if it won."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

from tests.faults.chaos import Chaos
from tests.faults.furnishing import open_house
from tests.faults.house import House
from tests.services import open_directory

ROUND_S = 120.0
# A new house now and then, so that neither its disk nor what is remembered of it grows for ever.
HOUSE_S = 600.0
LONGEST_ROUND_S = ROUND_S + 300.0


@click.command()
@click.option("--seconds", type=float, default=60.0, show_default=True, help="How long to go on.")
@click.option("--seed", type=int, default=lambda: time.time_ns() % 1_000_000, help="Replays its schedule.")
@click.option("--quiet", is_flag=True, help="Tell of rounds only.")
def main(seconds: float, seed: int, quiet: bool) -> None:
    """Kill, cut, freeze and repeat; judge all of it after each round of two minutes."""
    run = Run(seconds, seed, _nothing if quiet else click.echo)
    click.echo(f"seed {seed}: replay it with --seed {seed}")
    asyncio.run(run.until_time_is_up())
    click.echo(run.summary())
    sys.exit(1 if run.broken else 0)


class Run:
    """House after house, round after round, until the time is up or a promise was broken."""

    def __init__(self, seconds: float, seed: int, tell: Callable[[str], None]) -> None:
        self._seed = seed
        self._tell = tell
        self._ends_at = time.monotonic() + seconds
        self._rounds = self._batches = 0
        self._kills: Counter[str] = Counter()
        self.broken: list[str] = []

    async def until_time_is_up(self) -> None:
        """Each house stands for ten minutes."""
        while not self.broken and self._left_s > 0:
            with open_directory(on_disk=True) as directory:
                async with open_house(Path(directory), self._seed) as house:
                    await self._live_in(house)

    def summary(self) -> str:
        """All of it in a few words."""
        kills = ", ".join(f"{what} {times}" for what, times in sorted(self._kills.items()))
        told = "\n".join(self.broken) or "nothing lost, nothing counted twice"
        return (
            f"{self._rounds} rounds, {self._kills.total()} counted kills ({kills}),"
            f" {self._batches} batches acknowledged: {told}"
        )

    @property
    def _left_s(self) -> float:
        return self._ends_at - time.monotonic()

    async def _live_in(self, house: House) -> None:
        moves_at = time.monotonic() + HOUSE_S
        while not self.broken and self._left_s > 0 and time.monotonic() < moves_at:
            async with asyncio.timeout(LONGEST_ROUND_S):
                await self._play(house)

    async def _play(self, house: House) -> None:
        self._rounds += 1
        before = len(house.client.acked)
        chaos = Chaos(house, self._seed * 1000 + self._rounds, self._tell)
        await chaos.run(min(ROUND_S, self._left_s), least_kills=1)
        self.broken += await house.verdict()
        if not self.broken:
            await house.agrees()
        self._kills += chaos.kills
        self._batches += len(house.client.acked) - before
        click.echo(f"round {self._rounds}: {chaos.summary()}")


def _nothing(line: str) -> None:
    """Say no word of it."""


if __name__ == "__main__":
    main()
