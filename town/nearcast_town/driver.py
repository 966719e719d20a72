"""The loop of a town's life: someone asks, sees, acts now or later; items are born and die."""

from collections.abc import Iterator
from itertools import count, islice

from nearcast_town.backend import Backend, BackendUnavailableError, Slate, TownEvent, TownItem
from nearcast_town.clock import Clock
from nearcast_town.life import Diary, Townsfolk
from nearcast_town.measure import Meter
from nearcast_town.truth import Truth
from nearcast_town.world import CLICKS, Step, World, Worth

EVENTS_PER_CALL = 400


class Outbox:
    """What the town has to tell the backend; nothing leaves it before the backend has taken it."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter
        self._births: list[TownItem] = []
        self._deaths: list[str] = []
        self._events: list[TownEvent] = []

    def __len__(self) -> int:
        return len(self._births) + len(self._deaths) + len(self._events)

    def add_item(self, item: TownItem) -> None:
        self._births.append(item)

    def drop_item(self, item_id: str) -> None:
        self._deaths.append(item_id)

    def add_events(self, events: tuple[TownEvent, ...] | list[TownEvent]) -> None:
        self._events.extend(events)

    async def send(self) -> bool:
        """Send everything, births before deaths; False where the backend is away and the rest has to wait."""
        try:
            await self._send_items()
            await self._send_events()
        except BackendUnavailableError:
            return False
        return True

    async def _send_items(self) -> None:
        if self._births:
            await self._backend.put_items(self._births)
            self._births = []
        if self._deaths:
            await self._backend.remove_items(self._deaths)
            self._deaths = []

    async def _send_events(self) -> None:
        while self._events:
            batch = self._events[:EVENTS_PER_CALL]
            self._meter.learned += await self._backend.record(batch)
            self._meter.sent.update([event.kind for event in batch])
            self._events = self._events[EVENTS_PER_CALL:]


class Driver:
    """Lives one world against one backend; `step_s` are the town's seconds from one question to the next.

    A backend that is away costs the questions of that time and nothing else: births, deaths and events
    wait, and are sent again as they were.
    """

    def __init__(
        self,
        world: World,
        backend: Backend,
        clock: Clock,
        meter: Meter,
        step_s: float,
        worth: Worth = CLICKS,
    ) -> None:
        self._world = world
        self._backend = backend
        self._clock = clock
        self._meter = meter
        self._step_s = step_s
        self._truth = Truth(world, worth)
        self._townsfolk = Townsfolk(world.seed, world.constants, self._truth.rates)
        self._diary = Diary()
        self._outbox = Outbox(backend, meter)
        self._visit = ""

    async def run(self, steps: int | None = None, visit_label: str = "visit") -> None:
        """Live so many steps, or for ever; a label of its own keeps one run's visits apart from another's."""
        for item in self._truth.items:
            self._outbox.add_item(item)
        start_s = self._clock.now_s()
        for number, step in self._steps(steps, visit_label):
            await self._clock.until(start_s + number * self._step_s)
            await self._live(step)
        await self._outbox.send()

    def _steps(self, steps: int | None, visit_label: str) -> Iterator[tuple[int, Step]]:
        lives = zip(count(), self._world.lives(visit_label), strict=False)
        return lives if steps is None else islice(lives, steps)

    async def _live(self, step: Step) -> None:
        now_s = self._clock.now_s()
        await self._backend.advance(now_s)
        if step.turnover is not None:
            self._truth.turn_over(step.turnover, now_s)
            self._outbox.add_item(step.turnover.born.item)
            self._outbox.drop_item(step.turnover.died)
            self._meter.turnovers += 1
        self._outbox.add_events(self._diary.due(now_s))
        if not await self._outbox.send():
            self._meter.unanswered += 1
            return
        try:
            slate = await self._backend.recommend(step.ask)
        except BackendUnavailableError:
            self._meter.unanswered += 1
            return
        self._look(step, slate, now_s)
        await self._outbox.send()

    def _look(self, step: Step, slate: Slate, now_s: float) -> None:
        look = self._townsfolk.look(slate, step.ask.person, now_s)
        self._outbox.add_events(look.impressions)
        self._diary.note(look.acts)
        stakes = self._truth.stakes(step.ask)
        self._meter.add(now_s, slate.feed, self._truth.worth(slate), stakes, look)
        self._meter.add_newcomers(now_s, *self._truth.newcomers(step.ask, slate, now_s))
        if step.ask.session != self._visit:
            self._visit = step.ask.session
            self._meter.begin_visit(now_s)
