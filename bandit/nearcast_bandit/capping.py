"""When what was shown often enough within an hour may be shown again.

Counts are kept by the clock's hours, so the last sixty minutes are this hour's count and, of the one before,
as much as its share that lies in them: as if its impressions had come evenly.
"""

import numpy as np

from nearcast_bandit.arrays import Floats


def capped_until(before: Floats, current: Floats, cap: float, now_hours: float) -> Floats:
    """Hours since 1970 until which each is over the cap if it is shown no more; not after `now` if it is not.

    `before` and `current` are the impressions of the hour before this one and of this one so far.
    """
    if cap <= 0:
        raise ValueError(f"cap is {cap}; it must be above 0")
    hour = np.floor(now_hours)
    is_over = current + before * (hour + 1 - now_hours) >= cap
    with np.errstate(divide="ignore", invalid="ignore"):
        # While this hour lasts the one before it fades; in the next one this one does.
        this_hour = hour + 1 - (cap - current) / before
        next_hour = hour + 2 - cap / current
    ends = np.where(current >= cap, next_hour, this_hour)
    until: Floats = np.where(is_over, ends, hour)
    return until
