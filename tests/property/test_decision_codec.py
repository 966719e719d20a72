"""Whatever was decided comes back from its bytes as it was, within the bound; other bytes are refused."""

import zlib
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.arranging import Candidate, Diversity, Layout, SlotKind
from nearcast_bandit.record import OrderName, Pool
from nearcast_bandit.redeciding import differences, redecide
from nearcast_bandit.reserving import Budget
from nearcast_store.decisions.codec import MOST_BYTES, UnreadableRecordError, pack, unpack
from tests.unit.bandit.records import make_pool, make_record

LAYOUTS = st.builds(
    Layout,
    limit=st.integers(1, 20),
    diversity=st.builds(Diversity, st.integers(0, 3), st.integers(0, 3), st.integers(1, 12)),
    before=st.lists(
        st.builds(Candidate, st.integers(-(2**63), 2**63 - 1), st.integers(0, 3), st.integers(0, 3))
    ).map(tuple),
)
ORDERS: tuple[OrderName, ...] = ("draw", "nearest", "newest", "most", "explore")


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(0, 300),
    order=st.sampled_from(ORDERS),
    limit=st.integers(0, 60),
    sharpness=st.floats(0.25, 2.0),
    shown=st.integers(0, 20),
    layout=st.none() | LAYOUTS,
)
def test_a_record_that_went_through_bytes_is_made_again_equal(
    size: int, order: OrderName, limit: int, sharpness: float, shown: int, layout: Layout | None
) -> None:
    excluded = tuple(range(7, 7 * shown + 1, 7))
    record = make_record(size, order, limit=limit, sharpness=sharpness, excluded=excluded, layout=layout)
    again = unpack(pack(record))
    assert differences(record.outcome, redecide(again)) == []
    assert redecide(again) == redecide(record)
    assert (again.circumstances, again.choice, again.ordering) == (
        record.circumstances,
        record.choice,
        record.ordering,
    )
    assert (again.excluded, again.outcome, again.layout) == (record.excluded, record.outcome, layout)


def test_pins_come_back_and_stand_where_they_stood() -> None:
    layout = Layout(5, pins=((2, Candidate(280)), (9, Candidate(7, 1, 2, is_new=True))))
    record = make_record(layout=layout)
    again = unpack(pack(record))
    assert again.layout == layout
    assert redecide(again).postings[2] == 280
    assert 7 not in redecide(again).postings


def test_every_column_comes_back_to_the_bit() -> None:
    record = make_record(500)
    assert record.pool is not None
    record = replace(record, pool=replace(record.pool, factors=np.linspace(0.1, 3.0, 500)))
    again, pool = unpack(pack(record)).pool, record.pool
    assert again is not None
    assert pool is not None
    order = np.argsort(pool.postings)
    for name in ("postings", "distances_m", "born_at", "factors"):
        assert np.array_equal(getattr(again, name), getattr(pool, name)[order])
    assert np.array_equal(again.a, pool.a[:, order])
    assert np.array_equal(again.b, pool.b[:, order])


def test_a_record_from_before_there_were_factors_is_read() -> None:
    record = make_record()
    facts = list(msgspec.msgpack.decode(zlib.decompress(pack(record))))
    # Six columns, and nothing said of places.
    facts = [*facts[:6], facts[6][:6]]
    again = unpack(zlib.compress(msgspec.msgpack.encode(facts)))
    assert again.pool is not None
    assert again.pool.factors is None
    assert redecide(again) == redecide(record)


@pytest.mark.parametrize("size", [10_000, 30_000])
def test_a_record_that_is_too_large_is_cut_and_says_so(size: int) -> None:
    record = replace(make_record(), pool=make_pool(size))
    raw = pack(record)
    again = unpack(raw)
    assert len(raw) <= MOST_BYTES
    assert again.pool is None
    assert again.circumstances.gap == "cut"
    assert again.outcome == record.outcome


def test_a_record_that_lacks_its_candidates_keeps_its_reason() -> None:
    record = make_record()
    changed = msgspec.structs.replace(record.circumstances, gap="changed")
    again = unpack(pack(replace(record, circumstances=changed, pool=None)))
    assert again.circumstances.gap == "changed"
    with pytest.raises(ValueError, match="holds no candidates"):
        redecide(again)


@given(raw=st.binary(max_size=200))
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        unpack(raw)


@settings(deadline=None)
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_damaged_record_is_refused(place: int, flip: int) -> None:
    raw = bytearray(pack(make_record()))
    raw[place % len(raw)] ^= flip
    with pytest.raises(UnreadableRecordError):
        unpack(bytes(raw))


def test_a_record_without_candidates_or_kinds_is_a_record() -> None:
    empty = make_pool(0)
    none = np.empty((0, 3))
    for pool in (empty, Pool(np.arange(3), np.zeros(3), np.zeros(3), (), none, none)):
        again = unpack(pack(replace(make_record(order="nearest"), pool=pool))).pool
        assert again is not None
        assert again.a.shape == pool.a.shape


@settings(deadline=None, max_examples=40)
@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), first=st.integers(1, 150), old=st.booleans())
def test_places_that_were_kept_are_kept_again(shares: tuple[float, float], first: int, old: bool) -> None:
    """By the seed and the shares, whatever the record says of the slots."""
    plain = make_record(60, layout=Layout(10))
    assert plain.pool is not None
    pool = replace(plain.pool, is_new=plain.pool.postings % 2 == 0)
    budget = None if old else Budget(min(shares), max(shares))
    ordering = msgspec.structs.replace(plain.ordering, budget=budget, first_slot=first)
    record = replace(plain, pool=pool, ordering=ordering)
    again = unpack(pack(record))
    assert again.pool is not None
    assert again.ordering == ordering
    assert again.pool.is_new is not None
    assert np.array_equal(again.pool.is_new, again.pool.postings % 2 == 0)
    made = redecide(again)
    assert made == redecide(record)
    for posting, kind in zip(
        made.postings, budget.slots(2**64 - 3, first, 10) if budget else (), strict=False
    ):
        assert kind == SlotKind.OPEN or (posting % 2 == 0) == (kind == SlotKind.NEW)


def test_without_a_word_on_which_items_are_new_places_cannot_be_kept_again() -> None:
    record = make_record(layout=Layout(10))
    ordering = msgspec.structs.replace(record.ordering, budget=Budget(0.5, 0.5))
    with pytest.raises(ValueError, match="no word on which were new"):
        redecide(unpack(pack(replace(record, ordering=ordering))))
