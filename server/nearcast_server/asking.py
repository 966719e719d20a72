"""What a caller asks for, as plain values."""

from dataclasses import dataclass

from nearcast_catalogue.eligibility import Filter
from nearcast_geo.point import Point
from nearcast_ledger.person import Person


@dataclass(frozen=True, slots=True)
class Area:
    """Where to look and what for; `radius_m` None and `limit` 0 follow the policy."""

    center: Point
    radius_m: float | None
    limit: int
    filter: Filter


@dataclass(frozen=True, slots=True)
class NearbyQuery:
    """A list by distance; `canonical` is the request without its page token, to bind pages to it."""

    area: Area
    page_token: str
    canonical: bytes


@dataclass(frozen=True, slots=True)
class RecommendQuery:
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
