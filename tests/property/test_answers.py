"""Answers written byte by byte say what messages built field by field say."""

import string
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nearcast.v1 import item_pb2, recommend_pb2
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_compiling.native import WHY_NOT
from nearcast_ledger.pagetoken import MAX_SERVED
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS
from nearcast_replica.columns import build_segment, records_of
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.lookup import slot_of_posting
from nearcast_replica.query import Found
from nearcast_server.finding import Shown
from nearcast_server.recommending import Placed
from nearcast_server.rpc.answers import NearbyItems, RecommendedItems
from nearcast_server.rpc.items import Mask, to_mask, to_message
from nearcast_server.rpc.leads import Leads

if TYPE_CHECKING:
    from nearcast_server.rpc.slatebytes import SlateBytes

IDS = st.text(string.ascii_letters + string.digits + "._~-", min_size=1, max_size=128)
# Of one byte to four each, and some longer than two bytes of a length can say.
TEXTS = st.one_of(st.text(max_size=20), st.text("aé€😀", min_size=100, max_size=300), st.just("ø" * 9000))
TIMES = st.none() | st.floats(0, 4e9)
HOURS = st.builds(
    WeeklyHours,
    st.just("Europe/Oslo"),
    st.lists(
        st.builds(OpeningInterval, st.integers(0, 6), st.integers(0, 1439), st.just(1500)), max_size=3
    ).map(tuple),
)
ITEMS = st.builds(
    Item,
    item_id=IDS.map(ItemId),
    places=st.lists(st.builds(Place, st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=16).map(
        tuple
    ),
    reach_m=st.none() | st.floats(0, 500_000, exclude_min=True),
    tags=st.lists(st.builds(Tag, st.text(min_size=1, max_size=8), st.floats(0, 1)), max_size=3).map(tuple),
    category=st.text(max_size=8),
    owner=st.text(max_size=8),
    title=TEXTS,
    url=TEXTS,
    attributes=st.dictionaries(st.text(max_size=8), TEXTS, max_size=3),
    starts_at=TIMES,
    expires_at=TIMES,
    hours=st.none() | HOURS,
    etag=st.text(max_size=8),
)
SERVED = st.builds(
    ServedItem, st.integers(0, 2**63 - 1).map(Posting), st.integers(0, 2**63 - 1), st.floats(0, 4e9), ITEMS
)
NUMBERS = st.sampled_from((0.0, -0.0)) | st.floats(allow_nan=False)
TOKENS = st.text(string.ascii_letters, min_size=REWARD_TOKEN_CHARS, max_size=REWARD_TOKEN_CHARS) | st.text()


@st.composite
def shown(draw: st.DrawFn) -> Shown:
    """From the index as an item, or from the replica as the bytes of the message."""
    served = draw(SERVED)
    forms: list[ServedItem | bytes] = [served, to_message(served).SerializeToString()]
    display = draw(st.sampled_from(forms))
    place = draw(st.integers(0, 15))
    return Shown(served.posting, served.item.item_id, abs(draw(NUMBERS)), place, 0, display)


PLACED = st.builds(Placed, shown(), st.integers(0, MAX_SERVED), NUMBERS, TOKENS, st.just(0))
FIELDS = list(item_pb2.Item.DESCRIPTOR.fields_by_name)
MASKS = st.lists(st.sampled_from([*FIELDS, "*"]), max_size=4).map(
    lambda paths: to_mask(FieldMask(paths=paths))
)


def display_of(one: Shown, mask: Mask) -> item_pb2.Item:
    whole = item_pb2.Item()
    if isinstance(one.display, bytes):
        whole.ParseFromString(one.display)
    else:
        whole.CopyFrom(to_message(one.display))
    kept = item_pb2.Item()
    for field, _ in whole.ListFields():
        if mask is None or field.name in mask:
            only = item_pb2.Item()
            only.CopyFrom(whole)
            for other, _ in whole.ListFields():
                if other.name != field.name:
                    only.ClearField(other.name)
            kept.MergeFrom(only)
    return kept


@given(st.lists(PLACED, max_size=4), MASKS)
def test_a_slate_says_the_same_as_its_messages(placed: Sequence[Placed], mask: Mask) -> None:
    items = RecommendedItems()
    leads = Leads(items.lead)
    plain = recommend_pb2.RecommendResponse(
        request_id="r",
        items=[
            recommend_pb2.RecommendedItem(
                item_id=one.shown.item_id,
                rank=one.rank,
                distance_m=one.shown.distance_m,
                location_index=one.shown.place,
                score=one.score,
                reward_token=one.token,
                item=display_of(one.shown, mask),
            )
            for one in placed
        ],
    )
    around = recommend_pb2.RecommendResponse(request_id="r").SerializeToString()
    for _ in range(2):  # made, then kept
        joined = items.joined(
            [
                (
                    leads.of([one.shown], mask)[0],
                    one.rank,
                    one.shown.distance_m,
                    one.shown.place,
                    one.score,
                    one.token,
                )
                for one in placed
            ]
        )
        assert recommend_pb2.RecommendResponse.FromString(around + joined) == plain
        assert recommend_pb2.RecommendResponse.FromString(joined + around) == plain


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(SERVED, min_size=1, max_size=2, unique_by=lambda served: served.posting),
    st.integers(1, MAX_SERVED - 4),
    st.lists(st.tuples(NUMBERS, NUMBERS, st.integers(0, 15)), min_size=4, max_size=4),
)
def test_a_slate_by_machine_code_says_the_same_as_by_python(
    served: list[ServedItem], rank: int, measures: list[tuple[float, float, int]]
) -> None:
    messages = [to_message(each).SerializeToString() for each in served]
    segment = build_segment(records_of(served, Dictionaries(), messages), ())
    slots = [slot_of_posting(segment, each.posting) for each in served]
    distances, scores, places = zip(*measures[: len(served)], strict=True)
    found = Found(
        slots=np.array(slots, np.int32),
        postings=np.array([each.posting for each in served]),
        distances_m=np.array(distances),
        places=np.array(places, np.uint8),
        scores=np.array(scores),
        eligible=len(served),
        radius_used_m=1.0,
        truncated=False,
        exhausted=True,
    )
    tokens = np.random.default_rng(1).integers(65, 91, (len(served), REWARD_TOKEN_CHARS), np.uint8)
    joined = RecommendedItems().joined(
        (RecommendedItems().lead(each.item.item_id.encode(), message), rank + place, *measure, token.decode())
        for place, (each, message, measure, token) in enumerate(
            zip(
                served,
                messages,
                [(distance, index, score) for distance, score, index in measures[: len(served)]],
                map(bytes, tokens),
                strict=True,
            )
        )
    )
    written = machine().of(segment, found, rank, address_of_tokens(tokens))
    assert written is not None
    assert recommend_pb2.RecommendResponse.FromString(written) == recommend_pb2.RecommendResponse.FromString(
        joined
    )


@cache
def machine() -> "SlateBytes":
    """Kept, as it is in a gateway: what one slate leaves behind must not show in the next."""
    from nearcast_server.rpc.slatebytes import SlateBytes

    return SlateBytes()


def address_of_tokens(tokens: NDArray[np.uint8]) -> int:
    return int(tokens.ctypes.data)


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_machine_code_makes_room_for_large_slates_and_refuses_what_lies_astray() -> None:
    served = [
        ServedItem(Posting(number), 1, 0.0, Item(ItemId(f"item-{number}"), (Place(1.0, 2.0),)))
        for number in range(1, MAX_SERVED + 1)
    ]
    messages = [bytes([number]) * 3000 for number in range(1, MAX_SERVED + 1)]
    segment = build_segment(records_of(served, Dictionaries(), messages), ())
    count, zeros = len(served), np.zeros(len(served))
    found = Found(
        slots=np.arange(count, dtype=np.int32),
        postings=segment["posting"][:count].copy(),
        distances_m=zeros,
        places=np.zeros(count, np.uint8),
        scores=zeros,
        eligible=count,
        radius_used_m=1.0,
        truncated=False,
        exhausted=True,
    )
    tokens = np.full(count * REWARD_TOKEN_CHARS, 65, np.uint8)
    written = machine().of(segment, found, 1, address_of_tokens(tokens))
    assert written is not None
    assert all(message in written for message in messages)
    assert len(written) > 200 * 3000
    segment["cold_offset"][7] = segment.cold.size
    assert machine().of(segment, found, 1, address_of_tokens(tokens)) is None


@given(st.lists(shown(), max_size=4), MASKS)
def test_a_list_says_the_same_as_its_messages(listed: Sequence[Shown], mask: Mask) -> None:
    items = NearbyItems()
    leads = Leads(items.lead)
    plain = recommend_pb2.NearbyResponse(
        items=[
            recommend_pb2.NearbyItem(
                item_id=one.item_id,
                distance_m=one.distance_m,
                location_index=one.place,
                item=display_of(one, mask),
            )
            for one in listed
        ],
    )
    joined = items.joined([(leads.of([one], mask)[0], one.distance_m, one.place) for one in listed])
    assert recommend_pb2.NearbyResponse.FromString(joined) == plain


def served(posting: int, title: str) -> ServedItem:
    item = Item(ItemId(f"item-{posting}"), (Place(1.0, 2.0),), title=title)
    return ServedItem(Posting(posting), 1, 0.0, item)


def seen(one: ServedItem) -> Shown:
    return Shown(one.posting, one.item.item_id, 0.0, 0, 0, one)


def test_the_longest_slate_is_whole() -> None:
    items = RecommendedItems()
    leads = Leads(items.lead)
    joined = items.joined(
        [
            (leads.of([seen(served(rank, "ø" * rank))], None)[0], rank, 0.0, 0, 0.0, "t")
            for rank in range(1, 201)
        ]
    )
    answer = recommend_pb2.RecommendResponse.FromString(joined)
    assert [(one.rank, one.item.posting, one.item.title) for one in answer.items] == [
        (rank, rank, "ø" * rank) for rank in range(1, 201)
    ]


def test_an_item_that_was_replaced_is_shown_as_it_is_now() -> None:
    leads = Leads(NearbyItems().lead)
    before, after = (leads.of([seen(served(1, title))], None)[0] for title in ("old", "new"))
    assert b"old" in before
    assert b"new" in after
    assert b"old" not in after


@pytest.mark.parametrize("size", [10, 10_000])
def test_what_is_kept_is_bounded(size: int) -> None:
    leads = Leads(NearbyItems().lead, most_bytes=50_000)
    for posting in range(1, 1000):
        one = seen(served(posting, "x" * size))
        assert leads.of([one], None) == leads.of([one], None)
        assert 0 < leads.kept_bytes <= 50_000
