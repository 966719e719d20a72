"""What a town's decision log says of what is believed there later, where the truth is known.

A town is lived through for a while, and at some places its people then ask with nothing learned in between:
those decisions are logged, packed and read again as a gateway and an evaluation would. What was drawn from is
in each record, so more of the same slates can be drawn, by the same draws, as often as is needed. The target
is what the same policy believes after living longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_from_keys
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.propensity import draw_propensities, floor_propensities, with_floor
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.record import DecisionRecord
from nearcast_bandit.scoring import weighted_sum
from nearcast_bandit.stream import seeded_keys
from nearcast_cli.inprocess import InProcess
from nearcast_config.policy import Decisions, Feed, Policy
from nearcast_server.decisionlog import DecisionLog
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.stream import Logged
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from nearcast_town.backend import Ask
from nearcast_town.constants import STANDARD
from nearcast_town.simulate import START_S, run
from nearcast_town.world import World

POSITIONS, PLACES = 3, 20
EARLY_STEPS, LATE_STEPS = 1000, 4000
CONSTANTS = replace(STANDARD, turnover_per_step=0.0, slate_size=POSITIONS, radius_m=1500.0)
POLICY = msgspec.structs.replace(
    Policy(), feeds={"draw": Feed(order="draw")}, decisions=Decisions(log_share=1)
)
ATTENTION = 1 / np.arange(1, POSITIONS + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One place: what slates there are drawn from, the pool of the floor, and the true view rates."""

    ranking: Ranking
    pool: Integers
    rates: Floats

    def slates(self, count: int, rng: np.random.Generator) -> Integers:
        """Indices of the items shown, a row per request; a share of them is an even shuffle of the pool."""
        ranking, size = self.ranking, self.rates.size
        first_seed, (a, b) = int(rng.integers(2**40)), ranking.shapes
        drawn = [
            draw_from_keys(
                seeded_keys(first_seed, count, ranking.postings, kind).reshape(-1),
                np.tile(a[row], count),
                np.tile(b[row], count),
            )
            for row, kind in enumerate(ranking.kinds)
        ]
        scores = weighted_sum(np.stack(drawn), ranking.weights).reshape(count, size)
        floor = np.full((count, size), -np.inf)
        floor[:, self.pool] = rng.random((count, self.pool.size))
        explores = rng.random(count) < POLICY.exploration.share
        found: Integers = np.argsort(-np.where(explores[:, None], floor, scores), axis=1)[:, :POSITIONS]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class TownLog:
    """All places; their candidates lie one after the other in the rows of `logged` and `target`."""

    places: Sequence[Asked]
    logged: Floats
    target: Floats

    def value(self, propensities: Floats) -> float:
        """The true clicks per slate of a policy with these propensities, over all places alike."""
        rates = np.concatenate([place.rates for place in self.places])
        return float((propensities * rates[:, None] * ATTENTION).sum()) / len(self.places)

    def log(self, requests: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """As many requests at every place: items shown, by their rows, and whether they were viewed."""
        count = requests // len(self.places)
        found = [place.slates(count, rng) for place in self.places]
        rates = np.concatenate([place.rates[shown] for place, shown in zip(self.places, found, strict=True)])
        starts = np.cumsum([0, *(place.rates.size for place in self.places[:-1])])
        shown = np.concatenate([slates + start for slates, start in zip(found, starts, strict=True)])
        on_screen = (1 / (1 - rng.random(len(shown))))[:, None] >= np.arange(1, POSITIONS + 1)
        return shown, (on_screen & (rng.random(shown.shape) < rates)).astype(np.float64)

    def rows(self, shown: Integers, rewards: Floats, logged: Floats) -> ShownItems:
        """The log as an evaluation reads it, each request a session."""
        requests = shown.shape[0]
        request = np.repeat(np.arange(requests), POSITIONS)
        place, item = np.tile(np.arange(POSITIONS), requests), shown.reshape(-1)
        return ShownItems(
            request, request, place + 1, rewards.reshape(-1), logged[item, place], self.target[item, place]
        )


async def town_log(
    seed: int, places: int = PLACES, early_steps: int = EARLY_STEPS, late_steps: int = LATE_STEPS
) -> TownLog:
    """The log of one town's early belief, to be judged for its late one."""
    early = await _records(seed, early_steps, places)
    late = await _records(seed, late_steps, places)
    asked, logged, target = [], [], []
    for (now, rates), (then, _) in zip(early, late, strict=True):
        ranking, later = _ranking(now), _ranking(then)
        if not np.array_equal(ranking.postings, later.postings):
            raise ValueError("the same place has other candidates later: nothing may be born, die or move")
        true = np.array([rates[posting] for posting in ranking.postings.tolist()])
        asked.append(Asked(ranking, ranking.pool(POLICY.exploration.pool_size), true))
        logged.append(_chances(ranking))
        target.append(_chances(later))
    return TownLog(asked, np.concatenate(logged), np.concatenate(target))


async def _records(seed: int, steps: int, places: int) -> list[tuple[DecisionRecord, dict[int, float]]]:
    """What is decided at some places after so many steps, by the log, with true view rates by posting."""
    world, outlet = World(seed, constants=CONSTANTS), _Kept()
    log = DecisionLog(outlet, "benchmark", Metrics(CollectorRegistry(), SERVER_METRICS))
    backend = InProcess(POLICY, START_S, seed, decision_log=log)
    await backend.open()
    await run(world, backend, steps, days=steps / 700)
    await _drain(log)
    outlet.records.clear()
    for ask in _asks(world, places):
        await backend.recommend(ask)
        await _drain(log)
    item_ids = [resident.item.item_id for resident in world.residents]
    rates = {
        posting: world.rates(item_id).view
        for posting, item_id in zip(backend.beliefs(item_ids).postings.tolist(), item_ids, strict=True)
    }
    return [(record, rates) for record in outlet.records]


def _asks(world: World, places: int) -> list[Ask]:
    """From different homes, of people who are not in the same visit."""
    return [step.ask for step in islice(world.lives("place"), 0, 7 * places, 7)]


async def _drain(log: DecisionLog) -> None:
    while log.waiting:
        await log.send()


def _ranking(record: DecisionRecord) -> Ranking:
    """What is drawn from, in the order of the postings; so also where this very request explored."""
    pool, ordering = record.pool, record.ordering
    if pool is None:
        raise ValueError(f"a record without its candidates: {record.circumstances.gap}")
    pool = pool.only(np.argsort(pool.postings))
    rows = [pool.kinds.index(kind) for kind in ordering.kinds]
    a, b = pool.a[rows], pool.b[rows]
    return Ranking(pool.postings, ordering.kinds, ordering.weights, a, b, ordering.sharpness)


def _chances(ranking: Ranking) -> Floats:
    """P(item at position): the draw, and the floor of exploration."""
    floor = floor_propensities(ranking.postings.size, ranking.pool(POLICY.exploration.pool_size), POSITIONS)
    return with_floor(draw_propensities(ranking, POSITIONS), floor, POLICY.exploration.share)


class _Kept:
    """Where records go: they are read again at once."""

    def __init__(self) -> None:
        self.records: list[DecisionRecord] = []

    async def append(self, _tenant_id: int, logged: Sequence[Logged]) -> int:
        self.records += [unpack(each.record) for each in logged]
        return len(logged)
