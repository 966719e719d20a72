"""One number for surface and segment, which old tokens had for the surface alone."""

import pytest

from nearcast_ledger.surface import LAST_SCENARIO, LAST_SEGMENT, segment_of, surface_number

SMALLINT_MAX = 32_767


def test_every_pair_has_a_number_of_its_own_that_the_ledger_holds() -> None:
    pairs = [(scenario, segment) for scenario in (1, 2, LAST_SCENARIO) for segment in range(LAST_SEGMENT + 1)]
    numbers = [surface_number(*pair) for pair in pairs]
    assert len(set(numbers)) == len(pairs)
    assert max(numbers) == SMALLINT_MAX
    assert [segment_of(number) for number in numbers] == [segment for _, segment in pairs]


@pytest.mark.parametrize("scenario", [1, 64, LAST_SCENARIO])
def test_a_surface_without_a_segment_has_the_number_it_always_had(scenario: int) -> None:
    assert surface_number(scenario, 0) == scenario
    assert segment_of(scenario) == 0
