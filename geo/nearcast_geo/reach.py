"""Items with a reach of their own, kept apart by size so that no query searches farther than it must."""

MAX_REACH_M = 500_000.0
BUCKETS = range(10)


def bucket_radius_m(bucket: int) -> float:
    """Return the largest reach in a bucket, which is the radius to search it with."""
    return min(1000.0 * (1 << bucket), MAX_REACH_M)


def reach_bucket(reach_m: float) -> int:
    """Return k for a reach in (2^(k-1), 2^k] km; 0 holds everything up to 1 km."""
    for bucket in BUCKETS:
        if 0.0 < reach_m <= bucket_radius_m(bucket):
            return bucket
    raise ValueError(f"reach_m must be above 0 and at most {MAX_REACH_M:.0f} metres")
