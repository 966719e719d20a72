"""What a town expects of every backend, tried on each of them; a real one joins by a line in SUBJECTS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import pytest

from nearcast_cli.inprocess import InProcess
from nearcast_config.policytext import default_policy
from nearcast_geo.point import Point
from nearcast_town.backend import Ask, Backend, Person, TownEvent, TownItem
from nearcast_town.baselines import (
    BaselineBackend,
    GreedyOrder,
    OracleOrder,
    Order,
    RandomOrder,
    ThompsonOrder,
)
from nearcast_town.grpc_backend import GrpcBackend
from nearcast_town.simulate import START_S
from nearcast_town.streets import offset
from tests.gateways import make_config, running_gateway, running_keeper
from tests.services import new_database

ANN, GUEST = Person("user-0001", registered=True), Person("guest-0002", registered=False)
PATIENCE = 400
_numbers = count(1)


@dataclass(frozen=True)
class Trial:
    """An open backend, and how a little time passes for it: simulated, or real where it has its own clock."""

    backend: Backend
    pass_time: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Subject:
    """One kind of backend; `learns` where what people do is to change what is shown."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Trial]]
    learns: bool


def baseline(name: str, make_order: Callable[[np.random.Generator], Order], *, learns: bool) -> Subject:
    @asynccontextmanager
    async def open_trial() -> AsyncIterator[Trial]:
        backend = BaselineBackend(make_order(np.random.default_rng(1)))
        seconds = count(1_767_225_600)

        async def pass_time() -> None:
            await backend.advance(float(next(seconds)))

        yield Trial(backend, pass_time)

    return Subject(name, open_trial, learns)


SUBJECTS = [
    baseline("random", RandomOrder, learns=False),
    baseline("oracle", lambda rng: OracleOrder(lambda item_id: float(len(item_id))), learns=False),
    baseline("thompson", ThompsonOrder, learns=True),
    baseline("epsilon-greedy", lambda rng: GreedyOrder(rng, epsilon=0.1), learns=True),
]


IN_PROCESS, GRPC = "in process", "gRPC"


@asynccontextmanager
async def in_process() -> AsyncIterator[Trial]:
    """The real rules, fold and sampler over memory, with a clock that is told."""
    seconds = count(int(START_S), 120)
    backend = InProcess(default_policy(), float(next(seconds)), seed=7)
    await backend.open()

    async def pass_time() -> None:
        await backend.advance(float(next(seconds)))

    yield Trial(backend, pass_time)


@pytest.fixture(scope="module")
async def server(postgres_server, migrated_template, _redis_databases):
    """A real gateway and keeper on real stores, shared by this file's tests."""
    async with new_database(postgres_server, migrated_template) as dsn:
        config = make_config(dsn, next(_redis_databases))
        async with running_gateway(config) as gateway, running_keeper(config):
            yield gateway


def over_grpc(gateway, key: str) -> Callable[[], AbstractAsyncContextManager[Trial]]:
    @asynccontextmanager
    async def open_trial() -> AsyncIterator[Trial]:
        yield Trial(GrpcBackend(gateway.channel, key), partial(asyncio.sleep, 0.05))

    return open_trial


@pytest.fixture(params=[*SUBJECTS, IN_PROCESS, GRPC], ids=lambda param: getattr(param, "name", param))
async def subject(request, server):
    if request.param == IN_PROCESS:
        return Subject(IN_PROCESS, in_process, learns=True)
    if request.param == GRPC:
        tenant = await server.new_tenant(f"town-{next(_numbers)}")
        return Subject(GRPC, over_grpc(server, tenant.keys["backend"]), learns=True)
    return request.param


@pytest.fixture
async def trial(subject):
    async with subject.open() as opened:
        yield opened


class Spot:
    """A place of a test's own, more than 100 km from all others, so that tests may share one backend."""

    def __init__(self):
        self.number = next(_numbers)
        self.point = Point(-75.0 + 2.5 * (self.number % 60), -170.0 + 20.0 * (self.number // 60))

    def item(self, number, east_m=0.0, reach_m=None):
        return TownItem(
            item_id=f"spot-{self.number}-{number:03d}",
            point=offset(self.point, east_m, 0.0),
            title=f"Thing {number}",
            category="place",
            tags=("quiet", "indoors"),
            owner="Corner House",
            reach_m=reach_m,
        )

    def items(self, size):
        return [self.item(number, east_m=50.0 * number) for number in range(size)]

    def ask(self, limit=20, person=ANN, radius_m=5000.0):
        return Ask(self.point, radius_m, person, f"visit-{self.number}-{next(_numbers)}", limit)


@pytest.fixture
def spot():
    return Spot()


async def shown(trial, ask):
    return [entry.item_id for entry in (await trial.backend.recommend(ask)).items]


async def eventually(trial, condition):
    for _ in range(PATIENCE):
        if await condition():
            return
        await trial.pass_time()
    pytest.fail(f"not so after {PATIENCE} waits")


async def put_and_wait(trial, spot, items):
    await trial.backend.put_items(items)

    async def all_shown():
        return len(await shown(trial, spot.ask(limit=100))) >= len(items)

    await eventually(trial, all_shown)


async def test_where_nothing_is_the_slate_is_empty(trial, spot):
    assert await shown(trial, spot.ask()) == []


async def test_an_item_is_shown_once_it_was_put(trial, spot):
    await put_and_wait(trial, spot, [spot.item(1, east_m=300.0)])

    assert await shown(trial, spot.ask()) == [spot.item(1).item_id]


async def test_a_slate_counts_its_ranks_and_repeats_no_item_and_no_token(trial, spot):
    items = spot.items(30)
    await put_and_wait(trial, spot, items)

    first, second = [await trial.backend.recommend(spot.ask(limit=12)) for _ in range(2)]

    assert [entry.rank for entry in first.items] == list(range(1, 13))
    assert len({entry.item_id for entry in first.items}) == 12
    assert {entry.item_id for entry in first.items} <= {item.item_id for item in items}
    assert len({entry.token for entry in first.items + second.items}) == 24
    assert first.feed
    assert 0 < first.feed_propensity <= 1


async def test_what_lies_beyond_the_radius_is_not_shown_while_there_is_enough_within(trial, spot):
    far = spot.item(99, east_m=9000.0)
    await put_and_wait(trial, spot, [spot.item(number, east_m=100.0 * number) for number in range(20)])
    await trial.backend.put_items([far])

    for _ in range(20):
        await trial.pass_time()
        assert far.item_id not in await shown(trial, spot.ask(limit=5))


async def test_an_items_own_reach_replaces_the_radius(trial, spot):
    wide, narrow = spot.item(1, east_m=20_000.0, reach_m=30_000.0), spot.item(2, east_m=1000.0, reach_m=200.0)
    await trial.backend.put_items([narrow, wide])

    async def wide_is_shown():
        return wide.item_id in await shown(trial, spot.ask())

    await eventually(trial, wide_is_shown)
    assert await shown(trial, spot.ask()) == [wide.item_id]


async def test_an_item_put_again_is_shown_once_and_where_it_now_is(trial, spot):
    near, far = spot.item(1, east_m=100.0), spot.item(1, east_m=90_000.0, reach_m=1000.0)
    await put_and_wait(trial, spot, [near, spot.item(2)])
    await trial.backend.put_items([near])
    assert sorted(await shown(trial, spot.ask())) == [near.item_id, spot.item(2).item_id]

    await trial.backend.put_items([far])

    async def it_has_moved():
        return await shown(trial, spot.ask()) == [spot.item(2).item_id]

    await eventually(trial, it_has_moved)


async def test_a_removed_item_is_no_longer_shown(trial, spot):
    await put_and_wait(trial, spot, spot.items(3))
    await trial.backend.remove_items([spot.item(1).item_id])

    async def it_is_gone():
        return sorted(await shown(trial, spot.ask())) == [spot.item(0).item_id, spot.item(2).item_id]

    await eventually(trial, it_is_gone)


async def test_removing_what_is_not_there_is_no_error(trial, spot):
    await trial.backend.remove_items([spot.item(1).item_id])
    await trial.backend.remove_items([spot.item(1).item_id])

    assert await shown(trial, spot.ask()) == []


@pytest.mark.parametrize("person", [ANN, GUEST], ids=["registered", "guest"])
async def test_events_with_their_tokens_are_learned_from(trial, spot, person):
    await put_and_wait(trial, spot, spot.items(3))
    slate = await trial.backend.recommend(spot.ask(person=person))
    tokens = [entry.token for entry in slate.items]

    impressions = [TownEvent("impression", token, person) for token in tokens]
    acts = [TownEvent(kind, tokens[0], person) for kind in ("view", "save", "apply")]

    assert await trial.backend.record(impressions) == 3
    assert await trial.backend.record(acts) == 3


async def test_sending_the_same_events_again_is_no_error(trial, spot):
    await put_and_wait(trial, spot, spot.items(3))
    slate = await trial.backend.recommend(spot.ask())
    events = [TownEvent("impression", entry.token, ANN) for entry in slate.items]

    await trial.backend.record(events)

    await trial.backend.record(events)


async def test_a_made_up_token_is_not_learned_from_and_spoils_nothing(trial, spot):
    await put_and_wait(trial, spot, spot.items(3))
    slate = await trial.backend.recommend(spot.ask())
    good, forged = slate.items[0].token, "A" * 40

    learned = await trial.backend.record([TownEvent("impression", token, ANN) for token in (forged, good)])

    assert learned == 1


async def test_what_people_like_is_shown_higher(subject, trial, spot):
    """The liked item is the farthest and the oldest, so among 30 only learning brings it to the top three.

    Without learning it is there in about a tenth of the answers; 100 answers reach 30 with probability 1e-8.
    """
    if not subject.learns:
        pytest.skip(f"{subject.name} does not learn")
    liked = spot.item(99, east_m=4000.0)
    await put_and_wait(trial, spot, [liked])
    await put_and_wait(trial, spot, spot.items(29))
    for _ in range(30):
        slate = await trial.backend.recommend(spot.ask(limit=30))
        tokens = {entry.item_id: entry.token for entry in slate.items}
        events = [TownEvent("impression", token, ANN) for token in tokens.values()]
        likes = [TownEvent(kind, tokens[liked.item_id], ANN) for kind in ("view", "save", "apply")]
        assert await trial.backend.record(events + likes) == len(events) + 3
        await trial.pass_time()

    async def it_leads():
        return [liked.item_id in await shown(trial, spot.ask(limit=3)) for _ in range(100)].count(True) >= 30

    await eventually(trial, it_leads)
