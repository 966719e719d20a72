"""The town's backend over the wire: a running nearcast, asked as a phone and a customer's service would."""

from collections.abc import Awaitable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from nearcast.v1 import catalog_pb2, event_pb2, item_pb2, location_pb2, outcome_pb2, person_pb2, recommend_pb2
from nearcast.v1.catalog_pb2_grpc import CatalogServiceStub
from nearcast.v1.event_pb2_grpc import EventServiceStub
from nearcast.v1.recommend_pb2_grpc import RecommendServiceStub
from nearcast_geo.point import Point
from nearcast_town.backend import (
    Ask,
    BackendRefusedError,
    BackendUnavailableError,
    Person,
    Slate,
    SlateItem,
    TownEvent,
    TownItem,
)
from nearcast_town.sightings import Sighting, Sightings

Answer = TypeVar("Answer")
Entry = TypeVar("Entry")

AWAY = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)
ITEMS_PER_CALL = 200
IDS_PER_PAGE = 1000
ASK_DEADLINE_S = 5.0
WRITE_DEADLINE_S = 15.0


class GrpcBackend:
    """Speaks over a channel that the caller owns and closes; the key needs the role `backend` or `operator`.

    What came on screen of a slate is one event. It never repeats a call by itself. An answer that did not
    come is BackendUnavailableError; the caller may then send the very same events again: each is known by its
    reward token and kind, and counts once.
    """

    def __init__(self, channel: grpc.aio.Channel, api_key: str) -> None:
        self._catalog = CatalogServiceStub(channel)
        self._recommend = RecommendServiceStub(channel)
        self._events = EventServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {api_key}"),)
        self._visit = ("", "")
        self._sightings = Sightings()

    async def put_items(self, items: Sequence[TownItem]) -> None:
        for batch in _batches(items):
            request = catalog_pb2.UpsertItemsRequest(items=[_item(item) for item in batch])
            call = self._catalog.UpsertItems(request, timeout=WRITE_DEADLINE_S, metadata=self._metadata)
            _check((await _answer(call)).results)

    async def remove_items(self, item_ids: Sequence[str]) -> None:
        for batch in _batches(item_ids):
            request = catalog_pb2.DeleteItemsRequest(item_ids=batch, allow_missing=True)
            call = self._catalog.DeleteItems(request, timeout=WRITE_DEADLINE_S, metadata=self._metadata)
            _check((await _answer(call)).results)

    async def recommend(self, ask: Ask) -> Slate:
        request = recommend_pb2.RecommendRequest(
            location=_location(ask.point),
            radius_m=ask.radius_m,
            limit=ask.limit,
            person=_person(ask.person),
            session_id=ask.session,
            session_token=self._visit[1] if self._visit[0] == ask.session else "",
            read_mask=FieldMask(paths=["item_id"]),
        )
        call = self._recommend.Recommend(request, timeout=ASK_DEADLINE_S, metadata=self._metadata)
        answer = await _answer(call)
        self._visit = (ask.session, answer.session_token)
        self._sightings.remember(answer.slate_token, [item.reward_token for item in answer.items])
        items = tuple([SlateItem(item.item_id, item.rank, item.reward_token) for item in answer.items])
        return Slate(items, answer.feed, answer.feed_propensity)

    async def record(self, events: Sequence[TownEvent]) -> int:
        sightings = self._sightings.gather(events)
        request = event_pb2.RecordEventsRequest(events=[_event(sighting) for sighting in sightings])
        call = self._events.RecordEvents(request, timeout=ASK_DEADLINE_S, metadata=self._metadata)
        results = (await _answer(call)).results
        for result in results:
            if result.outcome.advice == outcome_pb2.ADVICE_RETRY:
                raise BackendUnavailableError(result.outcome.message)
        learned = zip(results, sightings, strict=True)
        return sum(sighting.events for result, sighting in learned if result.learned)

    async def advance(self, now_s: float) -> None:
        """The server has a clock of its own."""

    async def remove_strays(self, prefix: str, keep: Collection[str]) -> int:
        """Remove items whose ids begin so, an earlier run's say, but keep these; returns how many went."""
        strays = [
            item_id
            for item_id in await self._item_ids()
            if item_id.startswith(prefix) and item_id not in keep
        ]
        await self.remove_items(strays)
        return len(strays)

    async def _item_ids(self) -> list[str]:
        request = catalog_pb2.ListItemsRequest(
            page_size=IDS_PER_PAGE, show_expired=True, read_mask=FieldMask(paths=["item_id"])
        )
        item_ids: list[str] = []
        while True:
            call = self._catalog.ListItems(request, timeout=WRITE_DEADLINE_S, metadata=self._metadata)
            page = await _answer(call)
            item_ids.extend(item.item_id for item in page.items)
            if not page.next_page_token:
                return item_ids
            request.page_token = page.next_page_token


async def _answer(call: Awaitable[Answer]) -> Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        said = f"{error.code().name}: {error.details()}"
        if error.code() in AWAY:
            raise BackendUnavailableError(said) from error
        raise BackendRefusedError(said) from error


def _check(results: Iterable[catalog_pb2.ItemResult]) -> None:
    for result in results:
        outcome = result.outcome
        if outcome.code == 0:
            continue
        said = f"item {result.item_id}: {outcome.message} (field {outcome.field or 'none'})"
        if outcome.advice == outcome_pb2.ADVICE_RETRY:
            raise BackendUnavailableError(said)
        raise BackendRefusedError(said)


def _batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[first : first + ITEMS_PER_CALL] for first in range(0, len(entries), ITEMS_PER_CALL))


def _item(item: TownItem) -> item_pb2.Item:
    return item_pb2.Item(
        item_id=item.item_id,
        locations=[_location(item.point)],
        reach_m=item.reach_m,
        tags=[item_pb2.Tag(name=tag) for tag in item.tags],
        category=item.category,
        owner=item.owner,
        title=item.title,
    )


def _event(sighting: Sighting) -> event_pb2.Event:
    person = _person(sighting.person)
    if sighting.seen:
        return event_pb2.Event(
            kind=sighting.kind, slate_token=sighting.token, seen=sighting.bitmap(), person=person
        )
    return event_pb2.Event(kind=sighting.kind, reward_token=sighting.token, person=person)


def _location(point: Point) -> location_pb2.LatLng:
    return location_pb2.LatLng(latitude=point.lat, longitude=point.lon)


def _person(person: Person) -> person_pb2.Person:
    if person.registered:
        return person_pb2.Person(user_id=person.person_id)
    return person_pb2.Person(anonymous_id=person.person_id)
