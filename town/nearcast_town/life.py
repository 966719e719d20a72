"""What a person does with a slate: looks from the top down, views, and saves or applies later."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import log
from random import Random

from nearcast_town.backend import Person, Slate, TownEvent
from nearcast_town.constants import WorldConstants
from nearcast_town.world import Rates

APPLY = "apply"


@dataclass(frozen=True, slots=True)
class Act:
    """Something a person will do, and when, in seconds since the Unix epoch."""

    due_s: float
    event: TownEvent


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one slate: impressions at once, everything else when it is due."""

    impressions: tuple[TownEvent, ...]
    acts: tuple[Act, ...]
    views: int
    applies: int = 0


class Townsfolk:
    """Everybody who lives in the town; chance comes from one generator that nothing else uses."""

    def __init__(self, seed: int, constants: WorldConstants, rates: Callable[[str], Rates]) -> None:
        self._random = Random(f"{seed}/acts").random
        self._constants = constants
        self._rates = rates

    def look(self, slate: Slate, person: Person, now_s: float) -> Look:
        """Scroll down the slate; position r comes on screen with probability 1/r."""
        depth = int(1.0 / (1.0 - self._random()))
        on_screen = slate.items[:depth]
        acts: list[Act] = []
        views = 0
        for entry in on_screen:
            rates = self._rates(entry.item_id)
            if self._random() < rates.view:
                views += 1
                self._act_on(entry.token, person, rates, now_s, acts)
        seen = tuple([TownEvent("impression", entry.token, person) for entry in on_screen])
        applies = sum([act.event.kind == APPLY for act in acts])
        return Look(seen, tuple(acts), views, applies)

    def _act_on(self, token: str, person: Person, rates: Rates, now_s: float, acts: list[Act]) -> None:
        constants = self._constants
        acts.append(Act(now_s + self._delay_s(constants.mean_view_delay_s), TownEvent("view", token, person)))
        if self._random() < rates.save_share:
            due_s = now_s + self._delay_s(constants.mean_save_delay_s)
            acts.append(Act(due_s, TownEvent("save", token, person)))
        if self._random() < rates.apply_share:
            due_s = now_s + self._delay_s(constants.mean_apply_delay_s)
            acts.append(Act(due_s, TownEvent(APPLY, token, person)))

    def _delay_s(self, mean_s: float) -> float:
        return -mean_s * log(1.0 - self._random())


class Diary:
    """Acts that lie ahead, handed out when they are due."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, TownEvent]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._acts)

    def note(self, acts: tuple[Act, ...]) -> None:
        """Remember these."""
        for act in acts:
            heapq.heappush(self._acts, (act.due_s, next(self._numbers), act.event))

    def due(self, now_s: float) -> list[TownEvent]:
        """Take out what is due by now, earliest first."""
        events = []
        while self._acts and self._acts[0][0] <= now_s:
            events.append(heapq.heappop(self._acts)[2])
        return events
