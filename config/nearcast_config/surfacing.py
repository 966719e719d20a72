"""What an operator tunes of one surface: which items it shows, and what their scores are multiplied with."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Trait = Literal["category", "tag", "owner"]
Names = Annotated[
    tuple[Annotated[str, Meta(min_length=1)], ...],
    Meta(max_length=64),
]


class Boost(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A factor for the items of one category, tag or owner: exactly one of the three is named."""

    factor: Annotated[float, Meta(ge=0.01, le=100)]
    category: str = ""
    tag: str = ""
    owner: str = ""

    @property
    def named(self) -> dict[Trait, str]:
        """Which of the three it names, and how."""
        given: dict[Trait, str] = {"category": self.category, "tag": self.tag, "owner": self.owner}
        return {trait: name for trait, name in given.items() if name}


class Surface(Struct, frozen=True, forbid_unknown_fields=True):
    """Filters and factors of one surface; what a query asks for has to hold as well."""

    categories: Annotated[Names, Meta(description="Only items of these categories; empty = all")] = ()
    exclude_categories: Annotated[Names, Meta(description="No items of these categories")] = ()
    tags_all: Annotated[Names, Meta(description="Only items that have all of these tags")] = ()
    tags_any: Annotated[
        Names, Meta(description="Only items that have at least one of these tags; empty = all")
    ] = ()
    exclude_tags: Annotated[Names, Meta(description="No items that have one of these tags")] = ()
    exclude_item_ids: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,128}$")], ...],
        Meta(max_length=200, description="None of these items"),
    ] = ()
    boosts: Annotated[
        tuple[Boost, ...],
        Meta(
            max_length=64,
            description="Factors of scores: each names one category, tag or owner, and a factor in "
            "[0.01, 100]; those that apply to an item are multiplied",
        ),
    ] = ()
    distance_half_m: Annotated[
        float,
        Meta(
            ge=0,
            le=500000,
            description="Metres at which a score counts half, at twice as many a quarter; 0 = distance "
            "does not count",
        ),
    ] = 0.0
    seen: Annotated[
        Literal["show", "leave_out", "fade"],
        Meta(
            description="What becomes of items that the person has seen, unless the query says: shown as "
            "others, left out, or shown with seen_fade of their score"
        ),
    ] = "show"
    seen_fade: Annotated[
        float, Meta(gt=0, le=1, description="Share of its score that an item keeps that was seen")
    ] = 0.5
