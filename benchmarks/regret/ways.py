"""Ways to decide, each lived through the same towns, one process for each life."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.regret.oslo import listings
from nearcast_cli.inprocess import InProcess
from nearcast_config.policytext import default_policy, load_policy_text
from nearcast_town.backend import Backend
from nearcast_town.baselines import BaselineBackend, GreedyOrder, Order, RandomOrder, ThompsonOrder
from nearcast_town.listed import ListedWorld, Listing
from nearcast_town.report import Report
from nearcast_town.simulate import START_S, run
from nearcast_town.world import World, Worth

NEARCAST, THOMPSON, GREEDY, RANDOM = "nearcast", "Beta(1, 1)", "epsilon-greedy", "random order"
THOMPSON_SEEN, GREEDY_SEEN = "Beta(1, 1), told what was seen", "epsilon-greedy, told what was seen"
NAMES = (NEARCAST, THOMPSON, GREEDY, THOMPSON_SEEN, GREEDY_SEEN, RANDOM)
EPSILON = 0.1
TOWN, OSLO = "the town", "listings of Oslo"
REWARD, CLICKED = "reward", "clicks"
"""What is wanted: views, saves and applies by the weights of the default policy, or views alone."""


@dataclass(frozen=True, slots=True)
class Lived:
    """One life: which way, in which kind of town, of which seed, for how long, and what counts."""

    way: str
    place: str
    seed: int
    steps: int
    days: float
    wanted: str = REWARD
    policy: str | None = None
    """What nearcast shall be told instead of the default policy, as TOML."""


def live(life: Lived) -> Report:
    """From the first question to the last."""
    return asyncio.run(_live(life))


def live_all(lives: Sequence[Lived], jobs: int | None) -> Iterator[tuple[Lived, Report]]:
    """Each as it is finished; the longest begin first."""
    longest_first = sorted(lives, key=lambda life: (life.way in NAMES[1:], life.seed))
    with multiprocessing.get_context("spawn").Pool(jobs or os.cpu_count() or 1) as pool:
        yield from pool.imap_unordered(_apart, longest_first)


def world_of(place: str, seed: int) -> World:
    """The same for every way."""
    return World(seed) if place == TOWN else ListedWorld(seed, _oslo())


async def _live(life: Lived) -> Report:
    weights = weights_of(life.wanted)
    backend = await _backend(life, weights)
    world = world_of(life.place, life.seed)
    return await run(world, backend, life.steps, life.days, worth=Worth(**weights))


def weights_of(wanted: str) -> dict[str, float]:
    """What each kind of event is worth."""
    if wanted == CLICKED:
        return {"view": 1.0}
    return {name: kind.weight for name, kind in default_policy().kinds.items() if kind.weight > 0}


async def _backend(life: Lived, weights: dict[str, float]) -> Backend:
    if life.way == NEARCAST or life.policy is not None:
        backend = InProcess(load_policy_text(life.policy or "", life.way), START_S, life.seed)
        await backend.open()
        return backend
    rng = np.random.default_rng([life.seed, 20])
    return BaselineBackend(_order(life.way, rng, weights), counts_served=life.way in {THOMPSON, GREEDY})


def _order(way: str, rng: np.random.Generator, weights: dict[str, float]) -> Order:
    if way == RANDOM:
        return RandomOrder(rng)
    if way in {GREEDY, GREEDY_SEEN}:
        return GreedyOrder(rng, EPSILON, weights)
    return ThompsonOrder(rng, weights)


def _apart(life: Lived) -> tuple[Lived, Report]:
    return life, live(life)


@cache
def _oslo() -> list[Listing]:
    return listings()
