"""One report of all that a person saw of a slate, taken apart into impressions."""

from collections.abc import Sequence

from nearcast_catalogue.checking import Violation
from nearcast_ledger.claims import Claims
from nearcast_ledger.seen import MOST_SLATE_ITEMS, places_in

MOST_DWELL_MS = 86_400_000

Seen = tuple[Claims, int | None]
"""An item that was seen, and for how many milliseconds if that is known."""


def form_problem(seen: bytes, dwell_ms: Sequence[int]) -> Violation | None:
    """What is wrong with the bitmap of any slate, or with the times."""
    if not any(seen):
        return Violation("seen", "SEEN_INVALID", "must have a bit set for each item that came on screen")
    if 8 * len(seen) > MOST_SLATE_ITEMS:
        most = MOST_SLATE_ITEMS // 8
        return Violation("seen", "SEEN_INVALID", f"must have at most {most} bytes, got {len(seen)}")
    return _dwell_problem(dwell_ms, len(places_in(seen)))


def single_problem(seen: bytes, dwell_ms: Sequence[int]) -> Violation | None:
    """What is wrong with them in an event of one item."""
    if seen:
        return Violation("seen", "SEEN_INVALID", "must be unset without a slate_token")
    return _dwell_problem(dwell_ms, 1) if dwell_ms else None


def seen_of(shown: Sequence[Claims], seen: bytes, dwell_ms: Sequence[int]) -> Sequence[Seen] | Violation:
    """The items of a slate that its bitmap names; the form of both was looked at before."""
    places = places_in(seen)
    if places[-1] >= len(shown):
        return Violation(
            "seen", "SEEN_INVALID", f"must name items of the slate, which has {len(shown)}, got {places[-1]}"
        )
    known = dwell_ms or (None,) * len(places)
    return [(shown[place], dwell) for place, dwell in zip(places, known, strict=True)]


def _dwell_problem(dwell_ms: Sequence[int], items: int) -> Violation | None:
    if len(dwell_ms) not in (0, items):
        return Violation(
            "dwell_ms",
            "DWELL_INVALID",
            f"must have {items} values, one for each item seen, or none",
        )
    for place, value in enumerate(dwell_ms):
        if not 0 <= value <= MOST_DWELL_MS:
            return Violation(
                f"dwell_ms[{place}]", "DWELL_INVALID", f"must be in [0, {MOST_DWELL_MS}], got {value}"
            )
    return None
