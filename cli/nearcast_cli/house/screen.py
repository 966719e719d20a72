"""Where `up` speaks: a live table below what was said, or lines where nobody looks at a terminal."""

import asyncio
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from nearcast_cli.house.board import board, line
from nearcast_cli.house.figures import Figures, Onlooker
from nearcast_geo.point import Point
from nearcast_telemetry.pacing import repeat

TABLE_EVERY_S = 1.0
LINE_EVERY_S = 5.0


class Screen:
    """Says things in order; the table stays below them."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """A line or more, whole: never wrapped, cut or read as markup."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    async def show(self, onlooker: Onlooker, town_at: Point | None, stop: asyncio.Event) -> None:
        """Until the stop."""
        pace = Pace()
        if not self._console.is_terminal:
            await repeat(stop, LINE_EVERY_S, lambda: self._say_line(onlooker, pace))
            return
        true_rate = _true_rate(town_at)
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as live:

            async def refresh() -> None:
                figures = await onlooker.look()
                live.update(board(figures, pace.of(figures), true_rate), refresh=True)

            await repeat(stop, TABLE_EVERY_S, refresh)

    async def _say_line(self, onlooker: Onlooker, pace: "Pace") -> None:
        figures = await onlooker.look()
        clock = time.strftime("%H:%M:%S", time.localtime(figures.read_at))
        self.say(f"{clock} {line(figures, pace.of(figures))}")


class Pace:
    """Events a second, between one look and the next."""

    def __init__(self) -> None:
        self._last: Figures | None = None

    def of(self, figures: Figures) -> float:
        """Since the last look that had figures."""
        last = self._last
        if figures.stats is None:
            return 0.0
        self._last = figures
        if last is None or figures.read_at <= last.read_at:
            return 0.0
        return max(figures.events - last.events, 0) / (figures.read_at - last.read_at)


def _true_rate(town_at: Point | None) -> Callable[[str], float] | None:
    """The hidden rates of the town, to be seen beside what is believed; None without a town."""
    if town_at is None:
        return None
    from nearcast_cli.livetown import SEED
    from nearcast_town.world import World

    world = World(SEED, town_at)
    known: dict[str, float] = {}

    def rate(item_id: str) -> float:
        if item_id not in known:
            known[item_id] = world.rates(item_id).view
        return known[item_id]

    return rate
