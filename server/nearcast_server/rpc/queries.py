"""Queries and people, from the wire to plain values; limits are checked before elements are looked at."""

from collections.abc import Sequence
from functools import lru_cache

from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import Message

from nearcast.v1 import person_pb2, recommend_pb2
from nearcast_catalogue.checking import check_id
from nearcast_catalogue.echo import printable
from nearcast_catalogue.eligibility import Filter, Region
from nearcast_ledger.person import Person
from nearcast_server.asking import Area, NearbyQuery, RecommendQuery
from nearcast_server.errors import InvalidRequestError
from nearcast_server.rpc.items import to_area, to_point

# Beside the read mask.
_MAY_DIFFER: dict[type[Message], tuple[str, ...]] = {
    recommend_pb2.NearbyRequest: ("page_token",),
    recommend_pb2.RecommendRequest: ("page_token", "session_token", "explain", "explain_item_ids"),
}
MOST_NAMES = 64
MOST_NAME_CHARS = 64
MOST_EXCLUDED = 1000
MOST_ASKED_ABOUT = 20
MOST_TOKEN_CHARS = 4096


def to_nearby(request: recommend_pb2.NearbyRequest) -> NearbyQuery:
    """What the caller asks for."""
    return NearbyQuery(_area(request), _token("page_token", request.page_token), canonical(request))


def to_recommend(request: recommend_pb2.RecommendRequest) -> RecommendQuery:
    """What the caller asks for."""
    return RecommendQuery(
        area=_area(request),
        person=to_person("person", request.person),
        session_id=_optional_id("session_id", request.session_id),
        session_token=request.session_token if len(request.session_token) <= MOST_TOKEN_CHARS else "",
        scenario=_short("scenario", request.scenario),
        page_token=_token("page_token", request.page_token),
        explain=request.explain,
        canonical=canonical(request),
        exclude_seen=request.exclude_seen if request.HasField("exclude_seen") else None,
        segment=_short("segment", request.segment),
    )


def to_asked_about(field: str, item_ids: Sequence[str]) -> tuple[str, ...]:
    """Items to say of what became of them."""
    if len(item_ids) > MOST_ASKED_ABOUT:
        raise InvalidRequestError.of(
            field, "LIST_TOO_LONG", f"may name at most {MOST_ASKED_ABOUT}, got {len(item_ids)}"
        )
    if len(set(item_ids)) < len(item_ids):
        raise InvalidRequestError.of(field, "DUPLICATE_ID_IN_BATCH", "must name each item once")
    problems = [
        problem
        for place, item_id in enumerate(item_ids)
        for problem in check_id(f"{field}[{place}]", item_id)
    ]
    if problems:
        raise InvalidRequestError(problems)
    return tuple(item_ids)


def canonical(request: Message) -> bytes:
    """The request without what may differ between its pages."""
    names = _MAY_DIFFER[type(request)]
    if any(getattr(request, name) for name in names) or request.HasField("read_mask"):
        copy = type(request)()
        copy.CopyFrom(request)
        for name in (*names, "read_mask"):
            copy.ClearField(name)
        request = copy
    return request.SerializeToString(deterministic=True)


def to_person(field: str, message: person_pb2.Person) -> Person:
    """Who is asking or acting."""
    which = message.WhichOneof("identity")
    if which is None:
        return Person()
    value = message.user_id if which == "user_id" else message.anonymous_id
    problems = check_id(f"{field}.{which}", value)
    if problems:
        raise InvalidRequestError(problems)
    return Person(**{which: value})


def _area(request: recommend_pb2.NearbyRequest | recommend_pb2.RecommendRequest) -> Area:
    if not request.HasField("location"):
        raise InvalidRequestError.of(
            "location", "LOCATION_REQUIRED", "is required: latitude and longitude in degrees"
        )
    center = to_point("location", request.location)
    radius_m = request.radius_m if request.HasField("radius_m") else None
    market = _short("filter.market", request.filter.market)
    return Area(center, radius_m, request.limit, _filter(request.filter), market)


def _filter(message: recommend_pb2.Filter) -> Filter:
    if not message.ByteSize():
        return Filter()
    return Filter(
        tags_any=_names("filter.tags_any", message.tags_any),
        tags_all=_names("filter.tags_all", message.tags_all),
        tags_none=_names("filter.tags_none", message.tags_none),
        categories=_names("filter.categories", message.categories),
        exclude_item_ids=_ids("filter.exclude_item_ids", message.exclude_item_ids),
        region=_region(message.polygon) if message.polygon else None,
    )


@lru_cache(maxsize=128)
def _region(geometry: str) -> Region:
    """The same polygon is asked for again and again: it is read once, and prepared once."""
    return to_area("filter.polygon", geometry)


def _names(field: str, values: RepeatedScalarFieldContainer[str]) -> frozenset[str]:
    _count(field, len(values), MOST_NAMES)
    for place, value in enumerate(values):
        _length(f"{field}[{place}]", value)
    return frozenset(values)


def _ids(field: str, values: RepeatedScalarFieldContainer[str]) -> frozenset[str]:
    _count(field, len(values), MOST_EXCLUDED)
    for place, value in enumerate(values):
        problems = check_id(f"{field}[{place}]", value)
        if problems:
            raise InvalidRequestError(problems)
    return frozenset(values)


def _count(field: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidRequestError.of(
            field, "LIST_TOO_LONG", f"must hold at most {most} entries, got {count}", max=str(most)
        )


def _length(field: str, value: str) -> None:
    if not 1 <= len(value) <= MOST_NAME_CHARS:
        raise InvalidRequestError.of(
            field, "TEXT_TOO_LONG", f"must have 1 to {MOST_NAME_CHARS} characters, got {printable(value)}"
        )


def _short(field: str, value: str) -> str:
    if value:
        _length(field, value)
    return value


def _optional_id(field: str, value: str) -> str:
    problems = check_id(field, value) if value else []
    if problems:
        raise InvalidRequestError(problems)
    return value


def _token(field: str, value: str) -> str:
    if len(value) > MOST_TOKEN_CHARS:
        raise InvalidRequestError.of(
            field, "PAGE_TOKEN_INVALID", "is no token of this server; start again without it"
        )
    return value


def check_batch(field: str, count: int, most: int) -> None:
    """A batch holds at least one entry and not too many."""
    if count == 0:
        raise InvalidRequestError.of(field, "EMPTY_BATCH", "must hold at least one entry")
    if count > most:
        raise InvalidRequestError.of(
            field,
            "BATCH_TOO_LARGE",
            f"must hold at most {most} entries, got {count}; send several calls",
            max=str(most),
        )
