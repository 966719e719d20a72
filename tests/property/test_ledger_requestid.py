"""Request ids under any clock: strictly rising, always UUIDv7, never before the clock's best."""

from itertools import accumulate, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_ledger.kinds import position_bucket
from nearcast_ledger.requestid import RequestIds, is_uuid7, uuid7_ms

times = st.integers(0, 2**47)


@settings(deadline=None)
@given(st.lists(times | st.integers(1000, 1005), min_size=2, max_size=50), st.integers(0, 2**32))
def test_ids_rise_whatever_the_clock_does(times_ms: list[int], seed: int) -> None:
    clock = iter(times_ms)
    ids = RequestIds(lambda: next(clock), Random(seed).randbytes)
    minted = [ids.next() for _ in times_ms]
    assert all(earlier.int < later.int for earlier, later in pairwise(minted))
    assert all(map(is_uuid7, minted))
    assert [uuid7_ms(value) for value in minted] == list(accumulate(times_ms, max))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_position_buckets_keep_the_order_of_positions(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert position_bucket(low) <= position_bucket(high)
