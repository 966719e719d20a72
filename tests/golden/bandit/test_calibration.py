"""True rates among draws of their posteriors, lived through the server's rules; the whole by
`benchmarks.regret`."""

import pytest

from benchmarks.regret import calibration


@pytest.mark.slow
async def test_true_rates_lie_anywhere_in_their_posteriors() -> None:
    found = await calibration.calibrations(spots=4, answers_per_spot=40)
    assert {each.kind for each in found} == {"view", "save", "apply"}
    assert all(each.is_even for each in found), found


@pytest.mark.slow
async def test_posteriors_that_take_late_events_for_none_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Views that come days later than the policy says: rates are believed to be lower than they are."""
    monkeypatch.setitem(calibration.DELAY_HOURS, "view", 150.0)
    found = await calibration.calibrations(spots=2, answers_per_spot=120)
    assert [each.kind for each in found if not each.is_even] == ["view"]
