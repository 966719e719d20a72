"""Who is alive and how good they truly are: what any order is worth, without the noise of clicks."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nearcast_town.backend import Ask, Slate, TownItem
from nearcast_town.neighbourhood import Floats, Neighbourhood
from nearcast_town.world import CLICKS, ITEM_PREFIX, NO_RATES, Rates, Turnover, World, Worth

NEW_FOR_S = 2 * 86400.0
"""How long an item that was born in the town counts as new."""


@dataclass(frozen=True, slots=True)
class Stakes:
    """What one question is worth: what is expected of the best order and of a random one.

    `random_variance` is an upper bound of the variance of a random order's clicks.
    """

    candidates: int
    oracle: float
    random: float
    random_variance: float


class Truth:
    """The living items of a world, as of now; unless it is said what acts are worth, a click is worth one."""

    def __init__(self, world: World, worth: Worth = CLICKS) -> None:
        self._world = world
        self._worth = worth
        self._living = {resident.item.item_id: resident for resident in world.residents}
        self._rates = {resident.item.item_id: resident.rates for resident in world.residents}
        self._born_s: dict[str, float] = {}
        self._line_up()

    @property
    def items(self) -> tuple[TownItem, ...]:
        """The living, in the order of their births."""
        return tuple(resident.item for resident in self._living.values())

    def turn_over(self, turnover: Turnover, now_s: float = -NEW_FOR_S) -> None:
        """One item dies and another is born."""
        born = turnover.born
        self._born_s[born.item.item_id] = now_s
        self._born_s.pop(turnover.died, None)
        del self._living[turnover.died]
        self._living[born.item.item_id] = born
        self._rates[turnover.died] = NO_RATES
        self._rates[born.item.item_id] = born.rates
        self._line_up()

    def rates(self, item_id: str) -> Rates:
        """Hidden rates; what is dead or unborn in the town has none, what is somebody else's has its own."""
        found = self._rates.get(item_id)
        if found is None:
            found = NO_RATES if item_id.startswith(ITEM_PREFIX) else self._world.rates(item_id)
            self._rates[item_id] = found
        return found

    def worth(self, slate: Slate) -> float:
        """What is expected of an answer."""
        return sum([self.rates(entry.item_id).worth(self._worth) / entry.rank for entry in slate.items])

    def stakes(self, ask: Ask) -> Stakes:
        """What is expected of the best and of a random order of all who may be shown there.

        With M positions on screen and q the mean view rate of the candidates, the clicks of a random order
        have the mean q E[M] and at most the variance q (1 - q) E[M] + q^2 Var[M]: that no item is shown
        twice only lowers it.
        """
        places = self._neighbourhood.seen_from(ask.point, ask.radius_m)
        views, worths = self._views[places], self._worths[places]
        shown = min(ask.limit, views.size)
        if not shown:
            return Stakes(0, 0.0, 0.0, 0.0)
        attention, seen, seen_variance = _attention(shown)
        mean = float(views.sum()) / views.size
        return Stakes(
            candidates=views.size,
            oracle=float(worths[:shown] @ attention),
            random=float(worths.mean()) * seen,
            random_variance=mean * (1 - mean) * seen + mean * mean * seen_variance,
        )

    def newcomers(self, ask: Ask, slate: Slate, now_s: float) -> tuple[float, float]:
        """How often items born less than two days ago come on screen: by this answer, by a random order."""
        self._born_s = {
            item_id: born_s for item_id, born_s in self._born_s.items() if now_s - born_s < NEW_FOR_S
        }
        if not self._born_s:
            return 0.0, 0.0
        candidates = self._neighbourhood.seen_from(ask.point, ask.radius_m)
        new = np.isin(candidates, [self._places[item_id] for item_id in self._born_s])
        shown = sum([1 / entry.rank for entry in slate.items if entry.item_id in self._born_s])
        seen = _attention(min(ask.limit, candidates.size))[1]
        return shown, float(new.sum()) / max(candidates.size, 1) * seen

    def _line_up(self) -> None:
        best_first = sorted(self._living.values(), key=lambda each: -each.rates.worth(self._worth))
        self._places = {resident.item.item_id: place for place, resident in enumerate(best_first)}
        self._neighbourhood = Neighbourhood([resident.item for resident in best_first])
        self._views: Floats = np.array([resident.rates.view for resident in best_first])
        self._worths: Floats = np.array([resident.rates.worth(self._worth) for resident in best_first])


@lru_cache(maxsize=256)
def _attention(shown: int) -> tuple[Floats, float, float]:
    """Probability of each position to come on screen; mean and variance of how many do."""
    positions = np.arange(1, shown + 1)
    attention = 1.0 / positions
    mean = float(attention.sum())
    return attention, mean, float(((2 * positions - 1) / positions).sum()) - mean * mean
