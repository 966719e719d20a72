"""Simulated lives in fast mode: one process for each seed, as many at a time as there are cores."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool
from traceback import format_exception

from nearcast_cli.inprocess import InProcess
from nearcast_config.policy import Policy
from nearcast_geo.point import Point
from nearcast_town.backend import BackendRefusedError
from nearcast_town.report import Report
from nearcast_town.simulate import START_S, run
from nearcast_town.world import World


class LifeEndedError(Exception):
    """A life ended by a fault of ours; the message has the traceback of the process it was lived in."""


@dataclass(frozen=True, slots=True)
class Life:
    """One world under one policy, which `name` tells from another."""

    seed: int
    centre: Point
    policy: Policy
    steps: int
    days: float
    scenario: str = ""
    name: str = ""


def live_all(lives: Sequence[Life], jobs: int | None = None) -> Iterator[tuple[Life, Report]]:
    """The report of each, as it is finished."""
    workers = min(len(lives), jobs or os.cpu_count() or 1)
    pool = _pool(workers) if workers > 1 else None
    if pool is None:
        yield from ((life, live_once(life)) for life in lives)
        return
    with pool:
        yield from pool.imap_unordered(_live_apart, lives)


def _pool(workers: int) -> Pool | None:
    """None where the system has no shared memory for semaphores, as in a bare chroot."""
    try:
        return multiprocessing.get_context("spawn").Pool(workers, _leave_interrupts_to_us)
    except (OSError, ImportError):
        return None


def live_once(life: Life) -> Report:
    """From the first question to the last."""
    return asyncio.run(_live(life))


def _live_apart(life: Life) -> tuple[Life, Report]:
    """In a process of its own, out of which an error that cannot be pickled would never come."""
    try:
        return life, live_once(life)
    except BackendRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - told in full by the one that asked for this life
        raise LifeEndedError(f"seed {life.seed}: {''.join(format_exception(error))}") from None


async def _live(life: Life) -> Report:
    backend = InProcess(life.policy, START_S, life.seed, life.scenario)
    await backend.open()
    return await run(World(life.seed, life.centre), backend, life.steps, life.days)


def _leave_interrupts_to_us() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
