"""A town whose items are real: places and categories from a list, and how much each is liked there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_geo.point import Point
from nearcast_town.backend import TownItem
from nearcast_town.constants import STANDARD, WorldConstants
from nearcast_town.streets import offset
from nearcast_town.world import ITEM_PREFIX, Rates, Resident, World

MOST_VIEWED = 0.6
LEAST_LIKED = 0.1
HOME_SPREAD_M = 300.0


@dataclass(frozen=True, slots=True)
class Listing:
    """One real thing. `liking` counts on any scale: only its proportion to that of the others matters."""

    point: Point
    title: str
    category: str
    liking: float


class ListedWorld(World):
    """Items are listings in an order that the seed shuffles; the first are there, the others are born later.

    A view rate is in proportion to the liking, never below a tenth of the mean nor above 0.6, around the mean
    of any town. People live near listings. What follows a view, and when, is drawn as in any town.
    """

    def __init__(self, seed: int, listings: Sequence[Listing], constants: WorldConstants = STANDARD) -> None:
        if len(listings) < constants.item_count:
            raise ValueError(f"{len(listings)} listings are too few for {constants.item_count} items")
        self._listings = listings
        self._shuffled = np.random.default_rng([seed, 100]).permutation(len(listings))
        likings = np.array([listing.liking for listing in listings])
        views = np.maximum(likings / likings.mean(), LEAST_LIKED) * constants.mean_view_rate
        self._views = np.minimum(views * constants.mean_view_rate / views.mean(), MOST_VIEWED)
        super().__init__(seed, listings[0].point, constants)

    def resident(self, ordinal: int) -> Resident:
        """The listing of this number; after the last the first comes again, under another name."""
        listing = self._listing(ordinal)
        item = TownItem(
            item_id=f"{ITEM_PREFIX}{ordinal:05d}",
            point=listing.point,
            title=listing.title,
            category=listing.category,
            tags=(),
            owner="",
        )
        return Resident(item, self._rates_of(ordinal))

    def rates(self, item_id: str) -> Rates:
        """The hidden rates of a listing; of any other id those of any town."""
        ordinal = item_id.removeprefix(ITEM_PREFIX)
        if ordinal != item_id and ordinal.isascii() and ordinal.isdigit():
            return self._rates_of(int(ordinal))
        return super().rates(item_id)

    def home(self, rng: np.random.Generator) -> Point:
        """Near some listing."""
        near = self._listings[int(rng.integers(len(self._listings)))].point
        east_m, north_m = rng.normal(0, HOME_SPREAD_M, 2).tolist()
        return offset(near, east_m, north_m)

    def _rates_of(self, ordinal: int) -> Rates:
        drawn = super().rates(f"{ITEM_PREFIX}{ordinal:05d}")
        view = float(self._views[self._shuffled[ordinal % self._shuffled.size]])
        return Rates(view, drawn.save_share, drawn.apply_share)

    def _listing(self, ordinal: int) -> Listing:
        return self._listings[int(self._shuffled[ordinal % self._shuffled.size])]
