"""Simple ways to decide, in process: the yardsticks that a town and its measurement are tried on."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Protocol

import numpy as np

from nearcast_town.backend import Ask, Slate, SlateItem, TownEvent, TownItem
from nearcast_town.neighbourhood import Floats, Integers, Neighbourhood
from nearcast_town.sightings import IMPRESSION


class Order(Protocol):
    """Scores items, known by numbers that count from 0; the highest score is shown first."""

    name: str

    def welcome(self, item_id: str, /) -> None:
        """An item that was never seen before; it takes the next number."""

    def scores(self, numbers: Integers) -> Floats:
        """One score for each."""

    def learn(self, kind: str, number: int) -> None:
        """Something happened to an item."""


class BaselineBackend:
    """Finds the candidates as they truly are and leaves their order to `order`.

    With `counts_served` an item counts as shown once it is in an answer, whether it came on screen or not:
    what is counted where nobody tells what people saw.
    """

    def __init__(self, order: Order, *, counts_served: bool = False) -> None:
        self._order = order
        self._counts_served = counts_served
        self._items: dict[str, TownItem] = {}
        self._numbers: dict[str, int] = {}
        self._requests = count(1)
        self._served: dict[str, int] = {}
        self._taken: set[tuple[str, str]] = set()
        self._arrange()

    async def put_items(self, items: Sequence[TownItem]) -> None:
        for item in items:
            self._items[item.item_id] = item
            if item.item_id not in self._numbers:
                self._numbers[item.item_id] = len(self._numbers)
                self._order.welcome(item.item_id)
        self._arrange()

    async def remove_items(self, item_ids: Sequence[str]) -> None:
        for item_id in item_ids:
            self._items.pop(item_id, None)
        self._arrange()

    async def recommend(self, ask: Ask) -> Slate:
        places = self._neighbourhood.seen_from(ask.point, ask.radius_m)
        numbers = self._living[places]
        best = np.argsort(-self._order.scores(numbers))[: ask.limit]
        request = next(self._requests)
        chosen = zip(places[best].tolist(), numbers[best].tolist(), count(1), strict=False)
        return Slate(tuple([self._serve(*entry, request) for entry in chosen]), self._order.name)

    async def record(self, events: Sequence[TownEvent]) -> int:
        learned = 0
        for event in events:
            number = self._served.get(event.token)
            if number is None:
                continue
            learned += 1
            if (event.kind, event.token) not in self._taken:
                self._taken.add((event.kind, event.token))
                self._order.learn(event.kind, number)
        return learned

    async def advance(self, now_s: float) -> None:
        """Nothing here depends on the time."""

    def _arrange(self) -> None:
        self._ids = tuple(self._items)
        self._living = np.array([self._numbers[item_id] for item_id in self._ids], dtype=np.int64)
        self._neighbourhood = Neighbourhood(tuple(self._items.values()))

    def _serve(self, place: int, number: int, rank: int, request: int) -> SlateItem:
        token = f"{request}.{rank}"
        self._served[token] = number
        if self._counts_served:
            self._taken.add((IMPRESSION, token))
            self._order.learn(IMPRESSION, number)
        return SlateItem(self._ids[place], rank, token)


class RandomOrder:
    """Every order is as likely as any other."""

    name = "random"

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def welcome(self, _item_id: str, /) -> None:
        """All items are alike."""

    def scores(self, numbers: Integers) -> Floats:
        return self._rng.random(numbers.size)

    def learn(self, kind: str, number: int) -> None:
        """Nothing is learned."""


class OracleOrder:
    """The order of the hidden view rates: the most clicks there can be."""

    name = "oracle"

    def __init__(self, view_rate: Callable[[str], float]) -> None:
        self._view_rate = view_rate
        self._rates: list[float] = []

    def welcome(self, item_id: str, /) -> None:
        self._rates.append(self._view_rate(item_id))

    def scores(self, numbers: Integers) -> Floats:
        return np.array([self._rates[number] for number in numbers.tolist()])

    def learn(self, kind: str, number: int) -> None:
        """Nothing is left to learn."""


class ThompsonOrder:
    """A draw of Beta(1 + successes, 1 + impressions without one) per item: Thompson sampling at its plainest.

    One draw for each kind of event, added up by `weights`; without weights a view is worth one.
    """

    name = "thompson"

    def __init__(self, rng: np.random.Generator, weights: Mapping[str, float] | None = None) -> None:
        weights = weights or {"view": 1.0}
        self._rng = rng
        self._impressions = np.zeros(0)
        self._rows = {kind: row for row, kind in enumerate(weights)}
        self._weights = np.array(list(weights.values()))
        self._successes = np.zeros((len(weights), 0))

    def welcome(self, _item_id: str, /) -> None:
        self._impressions = np.append(self._impressions, 0.0)
        self._successes = np.append(self._successes, np.zeros((len(self._rows), 1)), axis=1)

    def scores(self, numbers: Integers) -> Floats:
        successes = self._successes[:, numbers]
        failures = np.maximum(self._impressions[numbers] - successes, 0)
        drawn: Floats = self._weights @ self._rng.beta(1 + successes, 1 + failures)
        return drawn

    def learn(self, kind: str, number: int) -> None:
        if kind == IMPRESSION:
            self._impressions[number] += 1
        elif kind in self._rows:
            self._successes[self._rows[kind], number] += 1


class GreedyOrder(ThompsonOrder):
    """The best by successes per impression, but a share `epsilon` of the answers in random order."""

    name = "epsilon-greedy"

    def __init__(
        self, rng: np.random.Generator, epsilon: float, weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(rng, weights)
        self._epsilon = epsilon

    def scores(self, numbers: Integers) -> Floats:
        chance = self._rng.random(numbers.size)
        if self._rng.random() < self._epsilon:
            return chance
        gained = self._weights @ self._successes[:, numbers]
        rates = gained / np.maximum(self._impressions[numbers], 1)
        return rates + 1e-9 * chance  # equal rates are ordered by chance
