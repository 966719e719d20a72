"""A thing that can be shown near a person: a job, an offer, an event, a place."""

import msgspec

from nearcast_catalogue.hours import WeeklyHours
from nearcast_catalogue.posting import ItemId, Posting


class Place(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where an item is, in exact degrees."""

    latitude: float
    longitude: float


class Tag(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an item is about, and how much in [0, 1]."""

    name: str
    relevance: float = 1.0


class Item(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a tenant says of an item; times in unix seconds, version 0 lets the server count up.

    `reach_area` is GeoJSON as it was given, checked where the earth is known.
    """

    item_id: ItemId
    places: tuple[Place, ...]
    reach_m: float | None = None
    tags: tuple[Tag, ...] = ()
    category: str = ""
    owner: str = ""
    title: str = ""
    url: str = ""
    image_url: str = ""
    attributes: dict[str, str] = {}
    starts_at: float | None = None
    expires_at: float | None = None
    hours: WeeklyHours | None = None
    version: int = 0
    etag: str = ""
    reach_area: str = ""


class ServedItem(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the gateway needs to serve an item: the life it is in, and the item as it was stored."""

    posting: Posting
    version: int
    born_at: float
    item: Item
    market: int = 0
