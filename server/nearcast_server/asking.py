"""What a caller asks for, as plain values."""

from msgspec import Struct

from nearcast_catalogue.eligibility import Filter
from nearcast_geo.point import Point
from nearcast_ledger.person import Person


class Area(Struct, frozen=True):
    """Where to look and what for; `radius_m` None and `limit` 0 follow the policy.

    `market` is the id of the only one that items may lie in, empty for any.
    """

    center: Point
    radius_m: float | None
    limit: int
    filter: Filter
    market: str = ""


class NearbyQuery(Struct, frozen=True):
    """A list by distance; `canonical` is the request without its page token, to bind pages to it."""

    area: Area
    page_token: str
    canonical: bytes


class RecommendQuery(Struct, frozen=True):
    """A slate."""

    area: Area
    person: Person
    session_id: str
    session_token: str
    scenario: str
    page_token: str
    explain: bool
    canonical: bytes
    exclude_seen: bool | None = None
    segment: str = ""
