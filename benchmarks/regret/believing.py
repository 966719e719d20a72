"""What is believed of a few items while a town is lived through, beside what is true of them."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from msgspec import Struct

from nearcast_cli.inprocess import InProcess
from nearcast_config.policytext import default_policy
from nearcast_town.backend import Ask, Slate, TownEvent, TownItem
from nearcast_town.simulate import START_S, run
from nearcast_town.world import World

LOOKS = 60
QUANTILES = {"the best": 1.0, "upper tenth": 0.9, "the middle": 0.5, "lower tenth": 0.1}
"""Items by where they stand among all by their true view rate."""
_DRAWS = 4000


class Belief(Struct, frozen=True):
    """Of one item's view rate at one moment: the mean, and between which 90 % of the posterior lies."""

    mean: float
    low: float
    high: float


class Course(Struct, frozen=True):
    """One item from the first question to the last."""

    name: str
    view_rate: float
    beliefs: list[Belief]


class Watched:
    """A backend that writes down what it believes of some items now and then."""

    def __init__(self, inner: InProcess, item_ids: Sequence[str], every: int) -> None:
        self._inner = inner
        self._item_ids = item_ids
        self._every = every
        self._asked = 0
        self._rng = np.random.default_rng(90)
        self.looks: list[list[Belief]] = []

    async def put_items(self, items: Sequence[TownItem]) -> None:
        await self._inner.put_items(items)

    async def remove_items(self, item_ids: Sequence[str]) -> None:
        await self._inner.remove_items(item_ids)

    async def recommend(self, ask: Ask) -> Slate:
        self._asked += 1
        if self._asked % self._every == 0:
            self.looks.append(self._look())
        return await self._inner.recommend(ask)

    async def record(self, events: Sequence[TownEvent]) -> int:
        return await self._inner.record(events)

    async def advance(self, now_s: float) -> None:
        await self._inner.advance(now_s)

    def _look(self) -> list[Belief]:
        beliefs = self._inner.beliefs(self._item_ids)
        row = beliefs.kinds.index("view")
        a, b = beliefs.a[row], beliefs.b[row]
        low, high = np.quantile(self._rng.beta(a, b, (_DRAWS, a.size)), (0.05, 0.95), axis=0)
        return [
            Belief(float(one), float(two), float(three))
            for one, two, three in zip(a / (a + b), low, high, strict=True)
        ]


async def courses(seed: int, steps: int, days: float) -> list[Course]:
    """Of items that live through it all."""
    world = World(seed)
    chosen = _chosen(world, steps)
    backend = InProcess(default_policy(), START_S, seed)
    await backend.open()
    watched = Watched(backend, list(chosen.values()), max(steps // LOOKS, 1))
    await run(world, watched, steps, days)
    return [
        Course(name, world.rates(item_id).view, [look[at] for look in watched.looks])
        for at, (name, item_id) in enumerate(chosen.items())
    ]


def _chosen(world: World, steps: int) -> dict[str, str]:
    died = {step.turnover.died for step in islice(world.lives(), steps) if step.turnover}
    stay = [each for each in world.residents if each.item.item_id not in died]
    by_rate = sorted(stay, key=lambda each: each.rates.view)
    return {
        name: by_rate[round(quantile * (len(by_rate) - 1))].item.item_id
        for name, quantile in QUANTILES.items()
    }
