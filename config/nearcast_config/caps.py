"""What an operator tunes of how often one thing may be shown."""

from typing import Annotated

from msgspec import Meta, Struct


class Caps(Struct, frozen=True, forbid_unknown_fields=True):
    """How often items are shown before they pause."""

    item_per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=1000000000,
            description="Impressions within an hour after which an item is left out of slates until they are "
            "fewer; 0 = never",
        ),
    ] = 0
    owner_per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=1000000000,
            description="The same of all items of one owner together: beyond it all of them are left out; "
            "0 = never",
        ),
    ] = 0

    @property
    def are_set(self) -> bool:
        """Whether anything is capped."""
        return self.item_per_hour > 0 or self.owner_per_hour > 0
