"""What an operator tunes of items of which little is known yet."""

from typing import Annotated

from msgspec import Meta, Struct


class Newcomers(Struct, frozen=True, forbid_unknown_fields=True):
    """How items of which nothing is known yet fare beside the others."""

    beats_incumbent: Annotated[
        float,
        Meta(
            ge=0,
            le=0.999,
            description="Probability that a new item beats the one in the last place of its market, for each "
            "kind; learned priors have their means set by it. 0 = as they were fitted",
        ),
    ] = 0.0
    until_exposures: Annotated[
        int,
        Meta(ge=1, le=1000000, description="An item is new until it has had this many impressions"),
    ] = 100
    floor_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Least share of the places of slates that goes to new items, as long as there are "
            "any; 0 = none is kept for them",
        ),
    ] = 0.0
    cap_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Greatest share of the places of slates that goes to new items, as long as there are "
            "others; 1 = as many as are drawn",
        ),
    ] = 1.0

    @property
    def have_budget(self) -> bool:
        """Whether places are kept for new items, or from them."""
        return self.floor_share > 0 or self.cap_share < 1
