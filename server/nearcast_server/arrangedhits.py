"""The places of a page from the index: everything that competes is at hand."""

from collections.abc import Mapping, Sequence

import numpy as np

from nearcast_bandit.arrays import Booleans, Integers
from nearcast_catalogue.item import ServedItem
from nearcast_server.arranging import Traits
from nearcast_store.index.protocol import Hit


class ArrangedHits:
    """All hits in their `order`; `passed` are others that the index told of on the way.

    `is_new` is told of each hit where places are kept for new ones or from them.
    """

    def __init__(
        self,
        hits: Sequence[Hit],
        order: Integers,
        passed: Mapping[int, ServedItem],
        is_new: Booleans | None = None,
    ) -> None:
        self._hits = hits
        self._order = order
        self._passed = passed
        self._is_new = is_new

    def best(self, count: int) -> Sequence[Traits]:
        """The best, at most so many; of both sides where there are two."""
        if self._is_new is None:
            return [traits_of(self._hits[index].served) for index in self._order[:count].tolist()]
        is_new = self._is_new[self._order]
        place = np.where(is_new, np.cumsum(is_new), np.cumsum(~is_new))
        return [self._traits(index) for index in self._order[place <= count].tolist()]

    def eligible(self, item_ids: Sequence[str]) -> Sequence[Traits | None]:
        """Each of these items where it is a hit."""
        wanted = frozenset(item_ids)
        found = [index for index, hit in enumerate(self._hits) if hit.served.item.item_id in wanted]
        traits = {str(self._hits[index].served.item.item_id): self._traits(index) for index in found}
        return [traits.get(item_id) for item_id in item_ids]

    def known(self, postings: Sequence[int]) -> Sequence[Traits]:
        """Those that the index told of."""
        return [traits_of(self._passed[posting]) for posting in postings if posting in self._passed]

    def _traits(self, index: int) -> Traits:
        traits = traits_of(self._hits[index].served)
        return traits if self._is_new is None else traits._replace(is_new=bool(self._is_new[index]))


def traits_of(served: ServedItem) -> Traits:
    """What the rules go by."""
    return Traits(served.posting, served.item.owner, served.item.category)
