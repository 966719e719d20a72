"""Memory over a run: when it is looked at, from when on it is judged, and what is printed of it."""

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.events.memory import REDIS, Growth, Sample, Sampler, growth
from benchmarks.events.report import progress
from benchmarks.goals import Row, at_most

SAMPLE_EVERY_S = 5.0
# Of the run, before memory is judged.
WARM_UP = 0.4
HOUR_S = 3_600.0
STARTS_WITHIN_S = 30.0
GOAL_PERCENT = 1.0
# One percent of less than this is a few pages.
SMALLEST_KIB = 4_096.0
HEAD = ("", "MiB at start", "warm", "last", "KiB per 10 min", f"% (goal {GOAL_PERCENT:g})", "% at last")


class Judged(Struct, frozen=True):
    """Memory after the warm-up, and again in the second half of that."""

    samples: Sequence[Sample]
    growth: dict[str, Growth]
    at_last: dict[str, Growth]


def judged(samples: Sequence[Sample]) -> Judged:
    """What these samples of a run say; the first is from before it."""
    after = samples[int(len(samples) * WARM_UP) :]
    return Judged(samples, growth(after), growth(after[len(after) // 2 :]))


def goals(memory: Judged) -> list[Row]:
    """Whether each process keeps within the goal."""
    limit = f"{GOAL_PERCENT:g} % per 10 minutes"
    return [
        at_most(f"own memory of {name}, growth", limit, held.percent / GOAL_PERCENT, 1.0)
        for name, held in memory.growth.items()
        if _is_judged(name, held)
    ]


def rows(memory: Judged) -> list[tuple[object, ...]]:
    """By process, the largest first."""
    begun = memory.samples[0].kib
    return [
        (
            name,
            begun[name] / 1024 if name in begun else "",
            held.first_kib / 1024,
            held.last_kib / 1024,
            f"{held.trend_kib:+.0f}",
            f"{held.percent:+.2f}",
            f"{memory.at_last[name].percent:+.2f}",
        )
        for name, held in memory.growth.items()
        if _is_judged(name, held)
    ]


def _is_judged(name: str, held: Growth) -> bool:
    return held.last_kib >= SMALLEST_KIB or name == REDIS


async def wait_for_a_whole_hour(whole_s: float) -> None:
    """Until the hour has turned, when it would turn while memory is judged: new hours begin new counts."""
    if pause_s := _pause_s(whole_s, time.time()):
        progress(f"waiting {pause_s:.0f} s, so that no hour begins while memory is judged")
        await asyncio.sleep(pause_s)


async def watch(sampler: Sampler, seconds: float) -> list[Sample]:
    """Samples of so long a time."""
    samples = [await sampler.take()]
    while samples[-1].at_s < seconds:
        await asyncio.sleep(SAMPLE_EVERY_S)
        samples.append(await sampler.take())
    return samples


def _pause_s(whole_s: float, now_s: float) -> float:
    """How long to wait for the hour to turn, when it would while memory is judged."""
    turns_in_s = HOUR_S - now_s % HOUR_S
    judged_from_s, judged_s = whole_s * WARM_UP, whole_s * (1 - WARM_UP)
    if judged_s < HOUR_S and judged_from_s < turns_in_s < whole_s + STARTS_WITHIN_S:
        return turns_in_s
    return 0.0
