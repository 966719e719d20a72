"""What came on screen of a slate as one event instead of one for each item: it counts the same."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nearcast_town.backend import Person, TownEvent

IMPRESSION = "impression"
MOST_SLATES = 64


@dataclass(frozen=True, slots=True)
class Sighting:
    """One event for the wire: of one item by its own token, or of all places of a slate that were seen."""

    kind: str
    token: str
    person: Person
    seen: tuple[int, ...] = ()

    @property
    def events(self) -> int:
        """How many events of the town it stands for."""
        return len(self.seen) or 1

    def bitmap(self) -> bytes:
        """The places as the wire has them; empty for a single item."""
        size = max(self.seen) // 8 + 1 if self.seen else 0
        return sum(1 << place for place in self.seen).to_bytes(size, "little")


class Sightings:
    """Remembers the places of the latest slates; impressions of older ones are sent one by one."""

    def __init__(self, most_slates: int = MOST_SLATES) -> None:
        self._most_slates = most_slates
        self._slates: OrderedDict[str, Sequence[str]] = OrderedDict()
        self._places: dict[str, tuple[str, int]] = {}

    def remember(self, slate_token: str, tokens: Sequence[str]) -> None:
        """A slate with the reward tokens of its items, in their order."""
        if not slate_token:
            return
        self._slates[slate_token] = tokens
        self._places |= {token: (slate_token, place) for place, token in enumerate(tokens)}
        while len(self._slates) > self._most_slates:
            _, forgotten = self._slates.popitem(last=False)
            for token in forgotten:
                self._places.pop(token, None)

    def gather(self, events: Iterable[TownEvent]) -> list[Sighting]:
        """These events, with the impressions of a slate as one."""
        gathered: OrderedDict[tuple[str, Person], set[int]] = OrderedDict()
        single: list[Sighting] = []
        for event in events:
            known = self._places.get(event.token) if event.kind == IMPRESSION else None
            if known is None:
                single.append(Sighting(event.kind, event.token, event.person))
            else:
                gathered.setdefault((known[0], event.person), set()).add(known[1])
        return [*_slates(gathered), *single]


def _slates(gathered: Mapping[tuple[str, Person], set[int]]) -> Iterable[Sighting]:
    for (slate_token, person), places in gathered.items():
        yield Sighting(IMPRESSION, slate_token, person, tuple(sorted(places)))
