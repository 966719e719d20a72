"""Whatever was decided comes back from its bytes as it was, within the bound; other bytes are refused."""

import zlib
from base64 import b64decode
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.arranging import Candidate, Diversity, Layout, SlotKind
from nearcast_bandit.evaluation.chances import is_plain
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import Beginning, Beginnings, DecisionRecord, OrderName, Pool
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


# As they were written before records told of priors: plain, and with places.
OF_FORMAT_1 = (
    (
        "eAGFUmloE0EY3XpVQavVFBUPihaqRSX1qvVgk1atFBEjeIDHdpudJEM3u+vOrNGKFa2CFfFID9tQacQcTUlarYg/FC0haHGx"
        "Wq1H+kPqBSoeVVDRKjq72/rXxzDzzZvvm/fm261POdUig90KQJiBXDLLnJufbyaYr095WrRsaKtRBLkRDARW0PJTWjhghxzg"
        "GBar1t78ZxRBsFSBPBfNXWDOlBUeoEy2NCQDFolCGOyVeBYKbZLIQ/s+RgZ7IIKiMDw6SABJtLvGNCM7EZChGOaAg1V4HHKz"
        "chnAVExmOaggRkFE0a1aLh/T9KgIlhXBzmLAxZsBD52wlAejLjhZyR+ys5IEOCqMgNMNBOw/HkIuVgbI6w1wMutR6ZeLdHjD"
        "AtB4rNLJBg2+gCJAsruvK1AxzbkoA0YvV+ma8udFrab90SHaSO4zksPkIsVN3IQcslgOhHh08B2MAwDO3+wCPMeICo7HXCLP"
        "kWDwVqOaoqL/aJbH/qqgKHNA1v0Gy6DAIe+w4WEPgE4XRl6V7jfKVIvJCCKaRUkACP07i0iiyDMIlgNTABEL9/4Y+B3koRvi"
        "EaFShXMC3NHigDL5DxAv4pTTRwOaW122RZJFCQgI4n0q/eL+6xJrVZ7+LUlH4s2SiDAUnKgmY/rstBCyExLVqPS35Oq2KZe2"
        "qfTX6ivnW23fiZt5eYd2Lb9Gml6QzmT1U76EOTWNFOUMPfz/a8Jsffy00FtcUO2u27u2YeTnotvZV2psRaOfFA5UKuc/VX3P"
        "yd/h8TddZOuDFh0Js2fqjKldgu9zfeyIp6f27cqr1zasasyunLnmZmLAHZx16EEK7uztTZJh1UHamyi5k/3e+u7Pdqrg5Im6"
        "+KRb1e3rR70s7JtkH9t+qnv/icoPh6+nbzlb+xNP3PRlXJptY3fyx/ZXc6IHOxX/BNvmG5kVTXBgQvf1uZtHZJsmm9J/ZeZm"
        "TPxoGKK1hU6ULH3aNOXAmwVtrvEHAl3rFVvxmZ0PY41H2j0HW/sfzq842xN9llpn3d2+49FdODfLN33ymxm+8KK+2nHBaT2N"
        "Za+PfVz9znFucUVkiaV42YqtCwvXLbRsMBSMuUPDXxIHlmM="
    ),
    (
        "eAGVU21sFEUY3qMIkgjycQSIQBolVIiQK6ClfmTvKFrTEOKZACag273bubtJ93aWmVmWllCChYQaIuX6QbnU9IC7vV5z10oN"
        "8QdEmstFiRuxhfJx/UEqHwkSRTBRotXg7G7bv+qTycz7vvu+8z4z82yn61gvBrs1QKgApeIKT3llpYdhjT1VWNbGSdcKMZRn"
        "KFBExcp39UogCCUgCSI1faOVtziGVECDspQtX+spxZoMSKkYMDAQCVLSYK8qi1DpV5EMg/UCBnsggUgpyU4EgIqCkVk9JMga"
        "YIjSEgiJmkyNqIjrAOVyWJSgRgSNsI5R0/vFEasfl6FYU4IiBVK+B8gwDAMymHEmLKoJIyiqKpC4NAHhKFBo4hODREQMSCyW"
        "lLCom/yd9TZiaQVYcWryxZMW4klNgcwbsjtwOYs5wkCwy02+reGH6j73vuxk2Ekec5LTbCMtytgYIYwagJLPTpxDCAEgJXoi"
        "QJYEpNF8LoJkiRkTuzrVHJedCosyTTSnEJYAtvmm6qAikdi0krQOYDhCSczkHzllptftGBmLoqoAQqa+ZVSEZIHABuBOEkbh"
        "+6cO/k7JMArpdCOgSWFAB3tDEDMdEBlRV8vhpMXWbturYqQChUBab/K3h+7V+por7LdkN5LvURGhUAmTtoVLX1ptkCALkjaT"
        "/724uX/x2Q9M/rfWc6f6/E8Ym1cqDn70+nmTHz6+cmj56YvxgmfmHKto8uD/vhY8vus3q2I1m1qjHXvfOfnM4+pvys61+auf"
        "vVE13qSd+qX5yerKXXqi+3OxM+W1UfDoS5YtuazEH3fmDukj7T+++eX5rW91lTUtf/tiYTyaevHgFRe9NDpaZMNng11vofbb"
        "sp98D57u5DZ9erQjv+Dr1oEtM+5UjS0IPjdwbHjf0aafP74wb/uJ9j/p/Pd/nT3H/95w8Y+dd1/OHrikJeb6t31V2tgNx+cO"
        "X1i1bXqZe5F73l+l5QvnP3QI8dbCF2pfu9m9eP/9tf2R5/cnL2/R/DXHP7ya6zo0oB/oe3R1TeOJkeytmR2+3QO7rn0HV62I"
        "L110f1k8vX6sfXbqhZGuuntHHm5+EPpsQ2PmVW/Nxjd2rKt6d513q9PBmQcLHtc0jo3/Dqui5H+VDB6ekFBGgnsAthTS1Bdl"
        "ghBUgAWkKwC7zk751j8aRrieM3SmY6SXJFWokBYjAEJMNC0pS3ik5R/F57t7"
    ),
)


@pytest.mark.parametrize("told", OF_FORMAT_1)
def test_a_record_of_the_format_before_is_made_again_equal(told: str) -> None:
    record = unpack(b64decode(told))
    assert record.beginnings is None
    assert len(record.outcome.postings) == 4
    assert redecide(record) == record.outcome


def begun(size: int, places: int = 3) -> DecisionRecord:
    """A record of which everything is told."""
    record = make_record(size)
    assert record.pool is not None
    lines = tuple(
        (Beginning(0.1, 20.0 + place, Level.CATEGORY, 5, 100.0, 7.0, 0.5), Beginning.of(OF_MARKET))
        for place in range(places)
    )
    numbers = record.pool.postings % places
    pool = replace(record.pool, lines=numbers, faded=numbers == 1)
    return replace(record, pool=pool, beginnings=Beginnings(7, lines))


OF_MARKET = LevelPrior(Prior(0.02, 50.0), Level.MARKET, FitKind.FITTED, 12, 3_000.0, 61.0, 0.25)


def test_what_was_believed_beforehand_comes_back() -> None:
    record = begun(40)
    again = unpack(pack(record))
    assert again.beginnings == record.beginnings
    assert again.pool is not None
    assert again.pool.lines is not None
    assert again.pool.faded is not None
    assert (again.pool.lines == again.pool.postings % 3).all()
    assert (again.pool.faded == (again.pool.postings % 3 == 1)).all()
    assert redecide(again) == record.outcome
    assert is_plain(again)


def test_what_nothing_was_decided_by_is_given_up_first() -> None:
    record = begun(300, places=40)
    raw = pack(record)
    plain = unpack(pack(record, len(raw) - 1))
    assert (plain.beginnings, plain.circumstances.gap) == (None, "")
    assert redecide(plain) == record.outcome


@pytest.mark.parametrize("wrong", ["line", "kind"])
def test_a_record_whose_priors_do_not_fit_its_candidates_is_refused(wrong: str) -> None:
    record = begun(40)
    assert record.beginnings is not None
    lines = record.beginnings.lines
    fewer = lines[:1] if wrong == "line" else tuple(line[:1] for line in lines)
    with pytest.raises(UnreadableRecordError, match="prior"):
        unpack(pack(replace(record, beginnings=Beginnings(7, fewer))))


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
