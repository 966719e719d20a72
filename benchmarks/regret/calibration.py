"""Is what is believed right? True rates, lived through, and ranked among draws of their posteriors.

Rates come from the prior. Where beliefs are right, each is as likely to stand at any place among draws of its
posterior. All of the way is walked: answers, tokens, log, fold, hourly counts, exposures that wait for late
events, posteriors. What was shown most was chosen by draws, as always.
"""

import heapq
import math
from collections.abc import Mapping
from itertools import count

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_betas
from nearcast_cli.inprocess import InProcess
from nearcast_config.policy import Exposure, Policy
from nearcast_geo.point import Point
from nearcast_town.backend import Ask, Person, Slate, TownEvent, TownItem
from nearcast_town.simulate import START_S

BINS, DRAWS = 20, 99
LIMIT = 64.0
"""Of chi-square with 19 degrees of freedom: one false alarm in a million."""
ITEMS_PER_SPOT, LIMIT_PER_ANSWER, DAYS = 100, 20, 3.0
DELAY_HOURS = {"view": 0.0, "save": 1.0, "apply": 6.0}
_HOUR_S = 3600.0


class Calibration(Struct, frozen=True):
    """How often the true rate of one kind fell into each twentieth of its posterior."""

    kind: str
    bins: list[int]
    chi_square: float

    @property
    def is_even(self) -> bool:
        """Whether chance explains how they differ."""
        return self.chi_square < LIMIT


async def calibrations(spots: int, answers_per_spot: int, seed: int = 7) -> list[Calibration]:
    """One for each kind, over a hundred items at each of so many places far apart."""
    policy = replace(Policy(), exposure=Exposure(half_life_hours=0))
    backend = InProcess(policy, START_S, seed)
    await backend.open()
    rng = np.random.default_rng([seed, 7])
    items = [_item(spot, number) for spot in range(spots) for number in range(ITEMS_PER_SPOT)]
    await backend.put_items(items)
    rates = {
        kind: rng.beta(prior.prior_mean * prior.prior_strength, (1 - prior.prior_mean) * prior.prior_strength,
                       len(items))
        for kind, prior in policy.kinds.items()
    }  # fmt: skip
    await _live(backend, rates, rng, spots, answers_per_spot)
    beliefs = backend.beliefs([item.item_id for item in items])
    return [
        _calibration(kind, rates[kind], beliefs.postings, row + 1, (beliefs.a[row], beliefs.b[row]))
        for row, kind in enumerate(beliefs.kinds)
    ]


async def _live(
    backend: InProcess, rates: Mapping[str, Floats], rng: np.random.Generator, spots: int, answers: int
) -> None:
    """Everybody sees the whole answer; what they do comes when it is due, or after the end never."""
    total = spots * answers
    step_s = DAYS * 24 * _HOUR_S / total
    waiting: list[tuple[float, int, TownEvent]] = []
    numbers = count()
    for number in range(total):
        now_s = START_S + number * step_s
        due = []
        while waiting and waiting[0][0] <= now_s:
            due.append(heapq.heappop(waiting)[2])
        await backend.record(due)
        await backend.advance(now_s)
        person = Person(f"guest-{number}", registered=False)
        ask = Ask(_spot(number % spots), 5000.0, person, f"visit-{number}", LIMIT_PER_ANSWER)
        slate = await backend.recommend(ask)
        await backend.record([TownEvent("impression", entry.token, person) for entry in slate.items])
        for due_s, event in _acts(slate, person, rates, rng, now_s):
            heapq.heappush(waiting, (due_s, next(numbers), event))
    end_s = START_S + DAYS * 24 * _HOUR_S
    await backend.record([event for due_s, _, event in waiting if due_s <= end_s])
    await backend.advance(end_s + 60.0)


def _acts(
    slate: Slate, person: Person, rates: Mapping[str, Floats], rng: np.random.Generator, now_s: float
) -> list[tuple[float, TownEvent]]:
    places = [int(entry.item_id.removeprefix("item-")) for entry in slate.items]
    acts: list[tuple[float, TownEvent]] = []
    for kind, mean_hours in DELAY_HOURS.items():
        delays_s = rng.exponential(1.0, len(places)) * mean_hours * _HOUR_S
        acts += [
            (now_s + float(delays_s[at]), TownEvent(kind, slate.items[at].token, person))
            for at in np.flatnonzero(rng.random(len(places)) < rates[kind][places]).tolist()
        ]
    return acts


def _calibration(
    kind: str, rates: Floats, postings: Integers, number: int, shapes: tuple[Floats, Floats]
) -> Calibration:
    ranks = np.zeros(rates.size, dtype=np.int64)
    for seed in range(DRAWS):
        ranks += draw_betas(seed, postings, number, *shapes) < rates
    bins = np.bincount(ranks * BINS // (DRAWS + 1), minlength=BINS)
    expected = rates.size / BINS
    return Calibration(kind, bins.tolist(), float(((bins - expected) ** 2).sum() / expected))


def _spot(number: int) -> Point:
    """More than a hundred kilometres from all others."""
    return Point(-60.0 + 2.0 * (number % 60), -170.0 + 20.0 * (number // 60))


def _item(spot: int, number: int) -> TownItem:
    middle = _spot(spot)
    turn = 2 * math.pi * number / ITEMS_PER_SPOT
    point = Point(middle.lat + 0.01 * math.cos(turn), middle.lon + 0.01 * math.sin(turn))
    return TownItem(f"item-{spot * ITEMS_PER_SPOT + number}", point, "Thing", "thing", (), "")
