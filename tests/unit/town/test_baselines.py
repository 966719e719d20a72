import numpy as np
import pytest

from nearcast_town.backend import Ask, Person, TownEvent
from nearcast_town.baselines import BaselineBackend, GreedyOrder, OracleOrder, RandomOrder, ThompsonOrder
from nearcast_town.world import OSLO, World

ANN = Person("user-0001", registered=True)
ITEMS = [each.item for each in World(1).residents[:6]]
ASK = Ask(OSLO, 50_000.0, ANN, "visit-1", 6)


class Tally(RandomOrder):
    """A random order that writes down what it was told."""

    def __init__(self, rng):
        super().__init__(rng)
        self.told = []

    def learn(self, kind, number):
        self.told.append((kind, number))


async def test_a_repeated_event_is_learned_once():
    order = Tally(np.random.default_rng(1))
    backend = BaselineBackend(order)
    await backend.put_items([item for item in ITEMS if item.reach_m is None])
    slate = await backend.recommend(ASK)
    events = [TownEvent("impression", entry.token, ANN) for entry in slate.items]

    await backend.record(events + events)
    await backend.record(events)

    assert len(order.told) == len(events) == len(set(order.told))


async def test_what_was_served_counts_as_shown_where_nobody_tells_what_was_seen():
    order = Tally(np.random.default_rng(1))
    backend = BaselineBackend(order, counts_served=True)
    await backend.put_items([item for item in ITEMS if item.reach_m is None])
    slate = await backend.recommend(ASK)
    told = [kind for kind, _ in order.told]

    await backend.record([TownEvent("impression", slate.items[0].token, ANN)])
    await backend.record([TownEvent("view", slate.items[0].token, ANN)])

    assert told == ["impression"] * len(slate.items)
    assert [kind for kind, _ in order.told] == [*told, "view"]


async def test_the_oracle_puts_the_best_first():
    world = World(1)
    backend = BaselineBackend(OracleOrder(lambda item_id: world.rates(item_id).view))
    await backend.put_items(ITEMS)
    slate = await backend.recommend(ASK)
    rates = [world.rates(entry.item_id).view for entry in slate.items]

    assert rates == sorted(rates, reverse=True)
    assert len(rates) >= 4


def taught(order):
    """20 items that were each seen 1,000 times, the third of them viewed most."""
    for number in range(20):
        order.welcome(f"item-{number}")
        for turn in range(1000):
            order.learn("impression", number)
            if turn < (300 if number == 2 else 100):
                order.learn("view", number)
    return order


def test_thompson_sampling_nearly_always_prefers_the_clearly_best():
    order = taught(ThompsonOrder(np.random.default_rng(1)))
    firsts = [int(np.argmax(order.scores(np.arange(20)))) for _ in range(500)]

    assert firsts.count(2) == 500


def test_thompson_sampling_tries_the_unknown():
    order = taught(ThompsonOrder(np.random.default_rng(1)))
    order.welcome("newcomer")
    firsts = [int(np.argmax(order.scores(np.arange(21)))) for _ in range(500)]

    assert firsts.count(20) / 500 == pytest.approx(0.7, abs=0.1)


def test_epsilon_greedy_shuffles_the_stated_share():
    """2,000 answers: 1 in 10 is shuffled, 1 in 20 of those is led by the best anyway; 5 errors are 0.033."""
    order = taught(GreedyOrder(np.random.default_rng(1), epsilon=0.1))
    firsts = [int(np.argmax(order.scores(np.arange(20)))) for _ in range(2000)]

    assert firsts.count(2) / 2000 == pytest.approx(0.905, abs=0.033)
