"""The small numbers that ledger rows and counts carry: kinds of events and buckets of positions."""

IMPRESSION = 1
VIEW = 2
SAVE = 3
APPLY = 4

PASSED_OVER = -1
"""No event: counts impressions below the last success of their answer, where people leave at one."""

BUILT_IN_KIND_NUMBERS = {"impression": IMPRESSION, "view": VIEW, "save": SAVE, "apply": APPLY}

_EXACT_UP_TO = 20
_SPANS = {25: (21, 30), 40: (31, 50), 75: (51, 200)}


def position_bucket(position: int) -> int:
    """The place that stands for a position in counts: itself up to 20, then 25 (21-30), 40 (31-50), 75.

    Below 1 is unknown and gives 0. Counts are kept by it for ever, so these borders can never move.
    """
    if position <= _EXACT_UP_TO:
        return max(position, 0)
    if position <= 30:
        return 25
    return 40 if position <= 50 else 75


def positions_of(bucket: int) -> tuple[int, int]:
    """The first and last position that a bucket stands for."""
    return _SPANS.get(bucket, (bucket, bucket))
