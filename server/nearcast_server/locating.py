"""What a query says of markets, once it is known which markets there are."""

import msgspec

from nearcast_catalogue.echo import printable
from nearcast_catalogue.eligibility import Filter
from nearcast_server.asking import Area
from nearcast_server.errors import InvalidRequestError
from nearcast_server.tenancy import View


def market_of(view: View, area: Area) -> int:
    """The number of the market in which the query's centre lies, 0 for none."""
    return view.atlas.at(area.center.lat, area.center.lon)


def asked(view: View, area: Area) -> Filter:
    """The filter with the number of the market that it names; InvalidRequestError when there is none."""
    if not area.market:
        return area.filter
    number = view.atlas.numbers.get(area.market)
    if number is None:
        raise InvalidRequestError.of(
            "filter.market",
            "MARKET_UNKNOWN",
            f"must be the id of an enabled market, got {printable(area.market)}; ListMarkets lists them",
        )
    return msgspec.structs.replace(area.filter, market=number)
