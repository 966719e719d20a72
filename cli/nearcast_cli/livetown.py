"""A town that lives on a running instance in wall-clock time, and what it tells of itself while it does."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import msgspec

from nearcast_cli.finding import Target
from nearcast_geo.point import Point
from nearcast_town.backend import BackendUnavailableError
from nearcast_town.clock import WallClock
from nearcast_town.grpc_backend import GrpcBackend
from nearcast_town.measure import Window, beats_random, total
from nearcast_town.report import Report
from nearcast_town.simulate import LivePace, run_live
from nearcast_town.world import ITEM_PREFIX, World

TOLD_EVERY_S = 1.0
RETRY_S = 0.5
PACE = LivePace()
SEED = 1


class Clicks(msgspec.Struct, frozen=True, kw_only=True):
    """Clicks of a stretch of time beside those of a random and of the best order."""

    questions: int
    clicks: int
    expected_random: float
    expected_oracle: float
    gap_closed: float | None
    p_value: float

    @classmethod
    def of(cls, window: Window) -> "Clicks":
        """Of one window."""
        test = beats_random(window)
        gap = window.gap_closed
        return cls(
            questions=window.asks,
            clicks=window.clicks,
            expected_random=window.random,
            expected_oracle=window.oracle,
            gap_closed=None if math.isnan(gap) else gap,
            p_value=test.p_value,
        )


class TownReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a live town has measured so far; a minute is there once it is over."""

    seed: int
    latitude: float
    longitude: float
    started_at: float
    told_at: float
    last_minute: Clicks | None
    minute_two: Clicks | None
    text: str
    report: dict[str, object]


def tell(report: Report, centre: Point, started_at: float) -> TownReport:
    """The report with its minutes."""
    minute, windows = PACE.windows_per_minute, report.windows
    over = len(windows) - 1  # the last one is still going on
    return TownReport(
        seed=report.seed,
        latitude=centre.lat,
        longitude=centre.lon,
        started_at=started_at,
        told_at=time.time(),
        last_minute=Clicks.of(total(windows[over - minute : over])) if over >= minute else None,
        minute_two=Clicks.of(total(windows[minute : 2 * minute])) if over >= 2 * minute else None,
        text=report.text() if windows else "",
        report=report.as_dict(),
    )


async def live(
    target: Target,
    centre: Point,
    seed: int,
    told: Callable[[TownReport], None],
    steps: int | None = None,
    pace: LivePace = PACE,
) -> TownReport:
    """Live for ever, or for so many questions; `told` hears about once a second how it goes."""
    started_at = time.time()
    world = World(seed, centre)
    meter = pace.meter(started_at)
    async with grpc.aio.insecure_channel(target.address) as channel:
        backend = GrpcBackend(channel, target.api_key)
        await _clear(backend, world)
        clock = WallClock(started_at, pace.real_scale, time.monotonic)

        def now() -> TownReport:
            return tell(Report.of(seed, meter), centre, started_at)

        telling = asyncio.create_task(_tell_often(now, told))
        try:
            await run_live(world, backend, clock, meter, pace, steps, f"live-{int(started_at)}")
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
    return now()


async def _clear(backend: GrpcBackend, world: World) -> None:
    """What an earlier life left behind would be shown without anybody acting on it."""
    residents = {resident.item.item_id for resident in world.residents}
    while True:
        try:
            await backend.remove_strays(ITEM_PREFIX, residents)
        except BackendUnavailableError:
            await asyncio.sleep(RETRY_S)
        else:
            return


async def _tell_often(now: Callable[[], TownReport], told: Callable[[TownReport], None]) -> None:
    while True:
        told(now())
        await asyncio.sleep(TOLD_EVERY_S)


def write_report(path: Path, report: TownReport) -> None:
    """Replace the file whole, so that a reader never sees half of it."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_bytes(msgspec.json.encode(report))
    draft.replace(path)


def read_report(path: Path) -> TownReport | None:
    """What the town of an instance told last; None when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TownReport)
    except (OSError, msgspec.DecodeError):
        return None
