"""What an operator multiplies scores with, outside of what was learned: taken away, nothing is left of it."""

from typing import Literal

from msgspec import Struct

Rule = Literal["category", "tag", "owner", "distance", "seen"]

# A factor stays above zero: beyond so many halvings, items are as far as each other.
MOST_HALVINGS = 40.0


class Boost(Struct, frozen=True):
    """A factor for the items of one category, tag or owner."""

    rule: Literal["category", "tag", "owner"]
    name: str
    factor: float


class Subject(Struct, frozen=True):
    """What of an item factors go by; `distance_m` is that to its nearest place."""

    posting: int
    category: str
    tags: frozenset[str]
    owner: str
    distance_m: float


class Part(Struct, frozen=True):
    """One rule that applied to an item; `name` is the category, tag or owner that it was for."""

    rule: Rule
    name: str
    factor: float


class Factors(Struct, frozen=True):
    """All that one slate multiplies with.

    A score counts half at `distance_half_m`, 0 = anywhere alike; what is in `faded` keeps `seen_share` of it.
    """

    boosts: tuple[Boost, ...] = ()
    distance_half_m: float = 0.0
    seen_share: float = 1.0
    faded: frozenset[int] = frozenset()

    def parts(self, subject: Subject) -> list[Part]:
        """The rules that apply to an item."""
        found = [
            Part(boost.rule, boost.name, boost.factor)
            for boost in self.boosts
            if (boost.rule == "category" and boost.name == subject.category)
            or (boost.rule == "owner" and boost.name == subject.owner)
            or (boost.rule == "tag" and boost.name in subject.tags)
        ]
        if self.distance_half_m > 0:
            halvings = min(subject.distance_m / self.distance_half_m, MOST_HALVINGS)
            found.append(Part("distance", "", 2.0**-halvings))
        if subject.posting in self.faded:
            found.append(Part("seen", "", self.seen_share))
        return found

    def of(self, subject: Subject) -> float:
        """What its score is multiplied with."""
        product = 1.0
        for part in self.parts(subject):
            product *= part.factor
        return product
