"""Places in a slate as counts keep them; a changed border would mix old counts with new ones."""

from itertools import pairwise

import pytest

from nearcast_ledger.kinds import position_bucket, positions_of


@pytest.mark.parametrize(
    ("position", "bucket"),
    [(-1, 0), (0, 0), (1, 1), (20, 20), (21, 25), (30, 25), (31, 40), (50, 40), (51, 75), (32767, 75)],
)
def test_the_borders_stay_where_they_are(position: int, bucket: int) -> None:
    assert position_bucket(position) == bucket


def test_a_later_place_never_has_an_earlier_bucket() -> None:
    buckets = [position_bucket(position) for position in range(300)]
    assert all(earlier <= later for earlier, later in pairwise(buckets))
    assert len(set(buckets)) == 24


def test_a_bucket_says_which_places_it_stands_for() -> None:
    for position in range(1, 201):
        first, last = positions_of(position_bucket(position))
        assert first <= position <= last
        assert {position_bucket(place) for place in range(first, last + 1)} == {position_bucket(position)}
