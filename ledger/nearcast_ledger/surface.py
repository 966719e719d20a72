"""Which surface asked, and for which segment of people: one number, which reward tokens and the ledger keep.

A scenario alone is its own number, so whatever was signed before there were segments says what it said.
"""

SCENARIO_BITS = 9
LAST_SCENARIO = 2**SCENARIO_BITS - 1
LAST_SEGMENT = 63  # the ledger keeps both in 15 bits


def surface_number(scenario: int, segment: int) -> int:
    """The number of both."""
    return segment << SCENARIO_BITS | scenario


def segment_of(surface: int) -> int:
    """The segment of such a number, 0 for none."""
    return surface >> SCENARIO_BITS
