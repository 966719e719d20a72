import pytest

from nearcast_geo.widening import widen


@pytest.mark.parametrize(
    ("radius_m", "max_radius_m", "factors", "radii"),
    [
        (5000.0, 100_000.0, (2.0, 4.0, 10.0), [5000.0, 10_000.0, 20_000.0, 50_000.0]),
        (20_000.0, 100_000.0, (2.0, 4.0, 10.0), [20_000.0, 40_000.0, 80_000.0, 100_000.0]),
        (50_000.0, 100_000.0, (2.0, 4.0, 10.0), [50_000.0, 100_000.0]),
        (60_000.0, 100_000.0, (2.0, 4.0, 10.0), [60_000.0, 100_000.0]),
        (100_000.0, 100_000.0, (2.0, 4.0, 10.0), [100_000.0]),
        (5000.0, 100_000.0, (), [5000.0]),
        (5000.0, 100_000.0, (4.0, 2.0, 4.0, 10.0), [5000.0, 20_000.0, 50_000.0]),
        (200_000.0, 100_000.0, (2.0,), [200_000.0]),
    ],
)
def test_ladder_grows_and_stops_at_the_maximum(radius_m, max_radius_m, factors, radii):
    assert list(widen(radius_m, max_radius_m, factors)) == radii


def test_nothing_wider_is_worked_out_before_it_is_asked_for():
    ladder = widen(5000.0, 100_000.0)
    assert next(ladder) == 5000.0
    assert next(ladder) == 10_000.0
