import math

import pytest

from nearcast_geo.reach import BUCKETS, MAX_REACH_M, bucket_radius_m, reach_bucket


@pytest.mark.parametrize(
    ("reach_m", "bucket"),
    [
        (5e-324, 0),
        (0.5, 0),
        (1000.0, 0),
        (math.nextafter(1000.0, 2000.0), 1),
        (2000.0, 1),
        (2000.0000001, 2),
        (3000.0, 2),
        (20000.0, 5),
        (256000.0, 8),
        (256000.1, 9),
        (500000.0, 9),
    ],
)
def test_reach_falls_into_the_smallest_bucket_that_covers_it(reach_m, bucket):
    assert reach_bucket(reach_m) == bucket
    assert reach_m <= bucket_radius_m(bucket)


def test_buckets_double_up_to_the_greatest_reach():
    assert [bucket_radius_m(bucket) for bucket in BUCKETS] == [
        1000.0, 2000.0, 4000.0, 8000.0, 16000.0, 32000.0, 64000.0, 128000.0, 256000.0, MAX_REACH_M,
    ]  # fmt: skip


@pytest.mark.parametrize("reach_m", [0.0, -1.0, 500000.1, math.inf, math.nan])
def test_impossible_reach_is_refused(reach_m):
    with pytest.raises(ValueError, match="above 0 and at most 500000"):
        reach_bucket(reach_m)
