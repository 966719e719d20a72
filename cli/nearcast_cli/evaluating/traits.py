"""What rules go by and records do not hold: whose a candidate is, of which category, and its tags."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nearcast_store.decisions.reading import Candidate

# An item that is changed is served as it was for some seconds.
_ON_ITS_WAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Traits:
    """The items that were asked for; None for those that are no more."""

    known: dict[int, Candidate | None] = field(default_factory=dict)

    def unknown(self, postings: Iterable[int]) -> list[int]:
        """Those that nobody asked for yet."""
        return sorted(set(postings) - self.known.keys())

    def learn(self, postings: Sequence[int], found: Mapping[int, Candidate]) -> None:
        """What was found of those that were asked for."""
        self.known.update({posting: found.get(posting) for posting in postings})

    def at(self, moment: float, postings: Iterable[int]) -> list[Candidate] | None:
        """Each of these as it was then, in unix seconds; None where of one of them that is not known."""
        found = [self.known.get(posting) for posting in postings]
        told = [each for each in found if each is not None and each.updated_at < moment - _ON_ITS_WAY_S]
        return told if len(told) == len(found) else None
