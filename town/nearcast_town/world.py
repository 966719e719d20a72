"""A town with a known truth: the same seed gives the same streets, items, people and lives, whoever decides.

How people look at a slate: they scroll from the top, and position r comes on screen with probability 1/r.
The phone reports an `impression` for what came on screen, and only what came on screen can be viewed. A
view happens with the item's hidden view rate; a save and an apply follow a view with hidden shares of their
own, later. A *click* is a view; the worth of an order is the clicks it leads to in expectation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from nearcast_geo.point import Point
from nearcast_town.backend import Ask, Person, TownItem
from nearcast_town.constants import STANDARD, WorldConstants
from nearcast_town.names import label
from nearcast_town.streets import lay_streets, offsets

OSLO = Point(59.91, 10.75)
ITEM_PREFIX = "town-"
REACHES_M = (2000.0, 8000.0, 15000.0)

# One stream of random numbers each, so that more of one changes nothing of another.
_MAP, _PEOPLE, _ITEM, _STRANGER, _ASKS, _TURNOVERS = range(6)
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Rates:
    """What is hidden of an item: probabilities of a view once on screen, and of more once viewed."""

    view: float
    save_share: float
    apply_share: float

    def worth(self, of: "Worth") -> float:
        """What is expected of it once on screen."""
        return self.view * (of.view + of.save * self.save_share + of.apply * self.apply_share)


@dataclass(frozen=True, slots=True)
class Worth:
    """What each act is worth."""

    view: float = 1.0
    save: float = 0.0
    apply: float = 0.0


CLICKS = Worth()
NO_RATES = Rates(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Resident:
    """An item as everybody sees it, and what only the world knows of it."""

    item: TownItem
    rates: Rates


@dataclass(frozen=True, slots=True)
class Home:
    """A person and where they live."""

    person: Person
    point: Point


@dataclass(frozen=True, slots=True)
class Turnover:
    """One item dies, another is born."""

    died: str
    born: Resident


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at one step, before anybody decides anything."""

    ask: Ask
    turnover: Turnover | None


class World:
    """A town's past and future, all of it a function of seed, centre and constants."""

    def __init__(self, seed: int, centre: Point = OSLO, constants: WorldConstants = STANDARD) -> None:
        self.seed = seed
        self.constants = constants
        self._map = lay_streets(self._stream(_MAP), centre, constants)
        self.homes = self._settle_people()
        self._home_lats = np.array([home.point.lat for home in self.homes])
        self._home_lons = np.array([home.point.lon for home in self.homes])
        self.residents = tuple(self.resident(ordinal) for ordinal in range(constants.item_count))

    def resident(self, ordinal: int) -> Resident:
        """The item of this number: below `item_count` it is there from the start, others are born later."""
        rng = self._stream(_ITEM, ordinal)
        rates = _rates(rng, self.constants)
        address, what = self._map.address(rng), label(rng)
        reach_m = float(rng.choice(REACHES_M)) if rng.random() < self.constants.reach_share else None
        item = TownItem(
            item_id=f"{ITEM_PREFIX}{ordinal:05d}",
            point=address.point,
            title=f"{what.thing} at {address.street} {address.number}",
            category=what.category,
            tags=what.tags,
            owner=what.owner,
            reach_m=reach_m,
        )
        return Resident(item, rates)

    def rates(self, item_id: str) -> Rates:
        """The hidden rates of any id: an item that is not the town's own has some too, fixed by its id."""
        ordinal = item_id.removeprefix(ITEM_PREFIX)
        if ordinal != item_id and ordinal.isascii() and ordinal.isdigit():
            return _rates(self._stream(_ITEM, int(ordinal)), self.constants)
        digest = blake2b(item_id.encode(), digest_size=8).digest()
        return _rates(self._stream(_STRANGER, int.from_bytes(digest)), self.constants)

    def home(self, rng: np.random.Generator) -> Point:
        """Where somebody lives."""
        return self._map.address(rng).point

    def lives(self, label: str = "visit") -> Iterator[Step]:
        """Step after step without end; `label` begins the names of the visits."""
        for ask, turnover in zip(self._asks(label), self._turnovers(), strict=True):
            yield Step(ask, turnover)

    def _asks(self, label: str) -> Iterator[Ask]:
        rng, constants = self._stream(_ASKS), self.constants
        visit, who = 0, 0
        while True:
            continues = (rng.random(_BLOCK) < constants.visit_goes_on).tolist()
            people = rng.integers(constants.person_count, size=_BLOCK).tolist()
            visits = []
            for goes_on, person in zip(continues, people, strict=True):
                if visit == 0 or not goes_on:
                    visit, who = visit + 1, person
                visits.append((visit, who))
            for (number, asker), point in zip(visits, self._strolls(rng, visits), strict=True):
                yield Ask(
                    point=point,
                    radius_m=constants.radius_m,
                    person=self.homes[asker].person,
                    session=f"{label}-{number}",
                    limit=constants.slate_size,
                )

    def _strolls(self, rng: np.random.Generator, visits: list[tuple[int, int]]) -> Iterator[Point]:
        askers = np.array([who for _, who in visits])
        away_m = rng.normal(0, self.constants.stroll_m, (2, askers.size))
        lats, lons = offsets(self._home_lats[askers], self._home_lons[askers], away_m[0], away_m[1])
        return map(Point, lats.tolist(), lons.tolist())

    def _turnovers(self) -> Iterator[Turnover | None]:
        rng = self._stream(_TURNOVERS)
        alive = [resident.item.item_id for resident in self.residents]
        born = len(alive)
        while True:
            turns = (rng.random(_BLOCK) < self.constants.turnover_per_step).tolist()
            for turns_over in turns:
                if not turns_over:
                    yield None
                    continue
                newcomer, place = self.resident(born), int(rng.integers(len(alive)))
                yield Turnover(alive[place], newcomer)
                alive[place] = newcomer.item.item_id
                born += 1

    def _settle_people(self) -> tuple[Home, ...]:
        rng = self._stream(_PEOPLE)
        homes = []
        for number in range(self.constants.person_count):
            registered = bool(rng.random() < 0.5)
            person = Person(f"{'user' if registered else 'guest'}-{number:04d}", registered)
            homes.append(Home(person, self.home(rng)))
        return tuple(homes)

    def _stream(self, *path: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *path])


def _rates(rng: np.random.Generator, constants: WorldConstants) -> Rates:
    return Rates(
        view=_beta(rng, constants.mean_view_rate, constants.view_rate_cv),
        save_share=_beta(rng, constants.mean_save_share, constants.share_cv),
        apply_share=_beta(rng, constants.mean_apply_share, constants.share_cv),
    )


def _beta(rng: np.random.Generator, mean: float, cv: float) -> float:
    strength = (1 - mean) / (mean * cv * cv) - 1
    return float(rng.beta(mean * strength, (1 - mean) * strength))
