"""The wire backend against a real asyncio server whose handlers lean on a baseline backend."""

from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest

from nearcast.v1 import catalog_pb2, event_pb2, item_pb2, outcome_pb2, recommend_pb2
from nearcast.v1.catalog_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server
from nearcast.v1.event_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from nearcast.v1.recommend_pb2_grpc import RecommendServiceServicer, add_RecommendServiceServicer_to_server
from nearcast_geo.point import Point
from nearcast_town.backend import (
    Ask,
    BackendRefusedError,
    BackendUnavailableError,
    Person,
    TownEvent,
    TownItem,
)
from nearcast_town.baselines import BaselineBackend, OracleOrder, ThompsonOrder
from nearcast_town.grpc_backend import GrpcBackend
from nearcast_town.sightings import Sightings
from nearcast_town.simulate import run
from nearcast_town.world import ITEM_PREFIX, OSLO, World

KEY = "dev-key"
ANN, GUEST = Person("user-0001", registered=True), Person("guest-0002", registered=False)
PAGE = 100


@dataclass
class Wire(CatalogServiceServicer, RecommendServiceServicer, EventServiceServicer):
    """Enough of nearcast's services to talk to; `failure` is what the next calls end with."""

    backend: BaselineBackend
    requests: list = field(default_factory=list)
    items: dict = field(default_factory=dict)
    outcome: outcome_pb2.Outcome = field(default_factory=outcome_pb2.Outcome)
    failure: grpc.StatusCode | None = None
    slates: dict = field(default_factory=dict)

    async def enter(self, request, context):
        if ("authorization", f"Bearer {KEY}") not in context.invocation_metadata():
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the key is unknown")
        if self.failure is not None:
            await context.abort(self.failure, "so it was told")
        copy = type(request)()
        copy.CopyFrom(request)
        self.requests.append(copy)

    async def UpsertItems(self, request, context):
        await self.enter(request, context)
        self.items |= {item.item_id: item for item in request.items}
        await self.backend.put_items([town_item(item) for item in request.items])
        results = [
            catalog_pb2.ItemResult(item_id=item.item_id, outcome=self.outcome) for item in request.items
        ]
        return catalog_pb2.UpsertItemsResponse(results=results)

    async def DeleteItems(self, request, context):
        await self.enter(request, context)
        for item_id in request.item_ids:
            self.items.pop(item_id, None)
        await self.backend.remove_items(request.item_ids)
        results = [catalog_pb2.ItemResult(item_id=item_id) for item_id in request.item_ids]
        return catalog_pb2.DeleteItemsResponse(results=results)

    async def ListItems(self, request, context):
        await self.enter(request, context)
        first = int(request.page_token or 0)
        page = sorted(self.items)[first : first + PAGE]
        return catalog_pb2.ListItemsResponse(
            items=[item_pb2.Item(item_id=item_id) for item_id in page],
            next_page_token=str(first + PAGE) if first + PAGE < len(self.items) else "",
        )

    async def Recommend(self, request, context):
        await self.enter(request, context)
        point = Point(request.location.latitude, request.location.longitude)
        slate = await self.backend.recommend(
            Ask(point, request.radius_m, ANN, request.session_id, request.limit)
        )
        return recommend_pb2.RecommendResponse(
            feed=slate.feed,
            feed_propensity=0.25,
            session_token=f"token of {request.session_id}",
            slate_token=self._slate_token([each.token for each in slate.items]),
            items=[
                recommend_pb2.RecommendedItem(item_id=each.item_id, rank=each.rank, reward_token=each.token)
                for each in slate.items
            ],
        )

    def _slate_token(self, tokens):
        if not tokens:
            return ""
        self.slates[f"slate of {tokens[0]}"] = tokens
        return f"slate of {tokens[0]}"

    def _seen(self, event):
        bits = int.from_bytes(event.seen, "little")
        return [token for place, token in enumerate(self.slates[event.slate_token]) if bits >> place & 1]

    async def RecordEvents(self, request, context):
        await self.enter(request, context)
        results = []
        for event in request.events:
            tokens = self._seen(event) if event.slate_token else [event.reward_token]
            learned = await self.backend.record([TownEvent(event.kind, token, ANN) for token in tokens])
            results.append(event_pb2.EventResult(outcome=self.outcome, learned=bool(learned)))
        return event_pb2.RecordEventsResponse(results=results)


def town_item(item):
    where = item.locations[0]
    return TownItem(
        item_id=item.item_id,
        point=Point(where.latitude, where.longitude),
        title=item.title,
        category=item.category,
        tags=tuple(tag.name for tag in item.tags),
        owner=item.owner,
        reach_m=item.reach_m if item.HasField("reach_m") else None,
    )


@pytest.fixture
async def wire():
    return Wire(BaselineBackend(ThompsonOrder(np.random.default_rng(1))))  # type: ignore[abstract]


@pytest.fixture
async def channel(wire):
    server = grpc.aio.server()
    add_CatalogServiceServicer_to_server(wire, server)
    add_RecommendServiceServicer_to_server(wire, server)
    add_EventServiceServicer_to_server(wire, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


@pytest.fixture
def backend(channel):
    return GrpcBackend(channel, KEY)


ITEMS = [each.item for each in World(1).residents]


def ask(session="visit-1", person=ANN):
    return Ask(OSLO, 5000.0, person, session, 20)


async def test_items_arrive_as_they_are(wire, backend):
    await backend.put_items(ITEMS)

    assert [town_item(wire.items[item.item_id]) for item in ITEMS] == ITEMS
    assert all(len(request.items) <= 500 for request in wire.requests)


async def test_items_leave(wire, backend):
    await backend.put_items(ITEMS)
    await backend.remove_items([item.item_id for item in ITEMS[1:]])

    assert list(wire.items) == [ITEMS[0].item_id]
    assert all(request.allow_missing for request in wire.requests[-2:])


async def test_a_question_says_where_who_and_how_much(wire, backend):
    await backend.put_items(ITEMS)
    slate = await backend.recommend(ask())
    sent = wire.requests[-1]

    assert (sent.location.latitude, sent.location.longitude) == (OSLO.lat, OSLO.lon)
    assert (sent.radius_m, sent.limit, sent.session_id) == (5000.0, 20, "visit-1")
    assert sent.person.user_id == "user-0001"
    assert [entry.rank for entry in slate.items] == list(range(1, 21))
    assert all(entry.token for entry in slate.items)
    assert (slate.feed, slate.feed_propensity) == ("thompson", 0.25)


async def test_a_visit_that_goes_on_hands_back_its_session_token(wire, backend):
    for session in ("visit-1", "visit-1", "visit-2"):
        await backend.recommend(ask(session))

    assert [request.session_token for request in wire.requests] == ["", "token of visit-1", ""]


async def test_a_guest_is_anonymous(wire, backend):
    await backend.recommend(ask(person=GUEST))
    await backend.record([TownEvent("view", "1.1", GUEST)])

    assert wire.requests[0].person.anonymous_id == "guest-0002"
    assert wire.requests[1].events[0].person.anonymous_id == "guest-0002"


async def test_events_carry_kind_and_token_and_what_is_learned_is_counted(wire, backend):
    await backend.put_items(ITEMS)
    token = (await backend.recommend(ask())).items[0].token

    learned = await backend.record([TownEvent("view", token, ANN), TownEvent("view", "forged", ANN)])

    assert [(event.kind, event.reward_token) for event in wire.requests[-1].events] == [
        ("view", token),
        ("view", "forged"),
    ]
    assert learned == 1


async def test_what_came_on_screen_of_a_slate_is_one_event(wire, backend):
    await backend.put_items(ITEMS)
    first, second = [(await backend.recommend(ask(session))).items for session in ("visit-1", "visit-2")]
    seen = [TownEvent("impression", entry.token, ANN) for entry in (*first[:10], second[3])]
    view = TownEvent("view", first[0].token, ANN)

    learned = await backend.record([*seen, view, seen[0]])

    assert [(event.kind, event.slate_token, event.seen.hex()) for event in wire.requests[-1].events] == [
        ("impression", f"slate of {first[0].token}", "ff03"),
        ("impression", f"slate of {second[0].token}", "08"),
        ("view", "", ""),
    ]
    assert learned == 12


def test_slates_of_long_ago_are_forgotten_and_reported_item_by_item():
    sightings = Sightings(most_slates=2)
    for number in range(4):
        sightings.remember(f"slate-{number}", [f"{number}.{place}" for place in range(3)])
    sightings.remember("", ["none.0"])
    tokens = ["1.0", "2.2", "3.0", "none.0"]

    gathered = sightings.gather([TownEvent("impression", token, ANN) for token in tokens])

    assert [(each.token, each.seen) for each in gathered] == [
        ("slate-2", (2,)),
        ("slate-3", (0,)),
        ("1.0", ()),
        ("none.0", ()),
    ]


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED],
)
async def test_a_server_that_is_away_is_said_to_be_unavailable(wire, backend, code):
    wire.failure = code

    for call in (
        backend.put_items(ITEMS[:1]),
        backend.remove_items(["x"]),
        backend.recommend(ask()),
        backend.record([TownEvent("view", "1.1", ANN)]),
    ):
        with pytest.raises(BackendUnavailableError, match=f"{code.name}: so it was told"):
            await call
    assert wire.requests == []


async def test_a_wrong_key_is_refused(channel):
    with pytest.raises(BackendRefusedError, match="UNAUTHENTICATED: the key is unknown"):
        await GrpcBackend(channel, "wrong").recommend(ask())


async def test_a_refused_item_is_told_with_its_reason(wire, backend):
    wire.outcome = outcome_pb2.Outcome(
        code=3, message="must be from -90 to 90", field="locations[0].latitude"
    )

    with pytest.raises(BackendRefusedError, match=r"item town-00000: must be .* locations\[0\]\.latitude"):
        await backend.put_items(ITEMS[:1])


async def test_what_may_be_sent_again_is_said_to_be_unavailable(wire, backend):
    wire.outcome = outcome_pb2.Outcome(code=14, message="later", advice=outcome_pb2.ADVICE_RETRY)

    with pytest.raises(BackendUnavailableError, match="later"):
        await backend.put_items(ITEMS[:1])
    with pytest.raises(BackendUnavailableError, match="later"):
        await backend.record([TownEvent("view", "1.1", ANN)])


async def test_what_an_earlier_run_left_is_removed_and_other_items_stay(wire, backend):
    others = [TownItem("my-own-shop", OSLO, "My own shop", "place", (), "me")]
    born_before = [World(1).resident(number).item for number in range(240, 250)]
    await backend.put_items(ITEMS + born_before + others)

    gone = await backend.remove_strays(ITEM_PREFIX, {item.item_id for item in ITEMS})

    assert gone == 10
    assert set(wire.items) == {item.item_id for item in ITEMS} | {"my-own-shop"}


async def test_a_town_lives_the_same_life_over_the_wire_as_in_process(wire, backend):
    world = World(1)
    wire.backend = BaselineBackend(OracleOrder(lambda item_id: world.rates(item_id).view))
    over_the_wire = await run(World(1), backend, steps=150)
    in_process = await run(
        World(1), BaselineBackend(OracleOrder(lambda item_id: world.rates(item_id).view)), steps=150
    )

    assert over_the_wire == in_process
