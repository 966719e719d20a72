"""What a town needs of whatever decides: the one way in which it is driven, on the wire or in process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nearcast_geo.point import Point


class BackendUnavailableError(Exception):
    """The backend does not answer now; the same may be sent again later."""


class BackendRefusedError(Exception):
    """The backend refused what the town sent; sending it again would not help."""


@dataclass(frozen=True, slots=True)
class TownItem:
    """What can be shown, as its owner describes it. `reach_m` replaces how far people look."""

    item_id: str
    point: Point
    title: str
    category: str
    tags: tuple[str, ...]
    owner: str
    reach_m: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: a registered user, or a guest known by a device."""

    person_id: str
    registered: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: what is worth showing here, to this person, in this visit?"""

    point: Point
    radius_m: float
    person: Person
    session: str
    limit: int


@dataclass(frozen=True, slots=True)
class SlateItem:
    """One item of an answer; the rank counts from 1, the token proves that it was served."""

    item_id: str
    rank: int
    token: str


@dataclass(frozen=True, slots=True)
class Slate:
    """An answer, best first, and the feed that ordered it."""

    items: tuple[SlateItem, ...]
    feed: str
    feed_propensity: float = 1.0


@dataclass(frozen=True, slots=True)
class TownEvent:
    """What a person saw or did; a repeated (kind, token) is the same event."""

    kind: str
    token: str
    person: Person


class Backend(Protocol):
    """Any call may raise BackendUnavailableError, then the very same call may be repeated without harm."""

    async def put_items(self, items: Sequence[TownItem]) -> None:
        """Create or replace; they may be shown a moment later."""

    async def remove_items(self, item_ids: Sequence[str]) -> None:
        """Stop showing these, a moment later; an unknown id is no error."""

    async def recommend(self, ask: Ask) -> Slate:
        """The answer to one question; nothing near is an empty slate."""

    async def record(self, events: Sequence[TownEvent]) -> int:
        """Hand over events; returns how many of them will be learned from."""

    async def advance(self, now_s: float) -> None:
        """It is now this late, in seconds since the Unix epoch; never earlier than told before.

        A backend with a clock of its own ignores it; one in process moves its clock, folds and publishes.
        """
