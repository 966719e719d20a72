"""The markets of a tenant as one thing to ask: which of them has this point, or this item."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nearcast_catalogue.item import Item
from nearcast_geo.area import Area
from nearcast_geo.territories import NOWHERE, Territories

NO_MARKET = 0
"""The number that says: in no market."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """A market that may have points."""

    number: int
    market_id: str
    priority: int
    area: Area


class Atlas:
    """Enabled markets as of one revision; of those that hold a point the highest priority has it, then the
    lowest number.
    """

    def __init__(self, revision: int, markets: Iterable[Ranked]) -> None:
        ranked = sorted(markets, key=lambda market: (-market.priority, market.number))
        self.revision = revision
        self.numbers: Mapping[str, int] = {market.market_id: market.number for market in ranked}
        self._ids = {market.number: market.market_id for market in ranked}
        self._ranked_numbers = [market.number for market in ranked]
        self._territories = Territories([market.area for market in ranked])

    def at(self, lat: float, lon: float) -> int:
        """The number of the market that has a normalised point, or NO_MARKET."""
        place = self._territories.at(lat, lon)
        return NO_MARKET if place == NOWHERE else self._ranked_numbers[place]

    def of(self, item: Item) -> int:
        """The market of the first of an item's places that lies in one."""
        if not self._ranked_numbers:
            return NO_MARKET
        numbers = (self.at(place.latitude, place.longitude) for place in item.places)
        return next((number for number in numbers if number != NO_MARKET), NO_MARKET)

    def id_of(self, number: int) -> str:
        """The id of an enabled market, empty for any other number."""
        return self._ids.get(number, "")


NO_MARKETS = Atlas(0, ())
