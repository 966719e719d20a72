"""The map all benchmarks share: by seed, and heavy-tailed."""

import numpy as np
import pytest

from benchmarks.cities import SPREAD_M, make_cities
from nearcast_geo.distance import distances_m

COUNT = 50_000


def test_the_same_seed_is_the_same_map() -> None:
    one, other = (make_cities(np.random.default_rng(3), 20) for _ in range(2))
    assert (one.lats == other.lats).all()
    assert (one.lons == other.lons).all()


def test_a_city_has_one_over_its_rank_of_the_places_and_they_lie_around_it() -> None:
    rng = np.random.default_rng(3)
    cities = make_cities(rng, 4, (0.0, 40.0, 40.0, 60.0))
    lats, lons = cities.places(rng, COUNT)
    away = np.array(
        [distances_m(lat, lon, lats, lons) for lat, lon in zip(cities.lats, cities.lons, strict=True)]
    )

    shares = np.bincount(away.argmin(axis=0), minlength=4) / COUNT

    # Six standard deviations of a share of a half are 0.013.
    assert shares == pytest.approx(np.array([12, 6, 4, 3]) / 25, abs=0.02)
    # The median of a normal spread in two directions is 1.177 of it.
    assert np.median(away.min(axis=0)) == pytest.approx(1.177 * SPREAD_M, rel=0.03)


def test_places_stay_within_the_world() -> None:
    rng = np.random.default_rng(5)
    _, lons = make_cities(rng, 5, (179.9, -1.0, 180.0, 1.0)).places(rng, 1_000)
    assert ((lons >= -180.0) & (lons < 180.0)).all()
    assert (lons < 0).any()
