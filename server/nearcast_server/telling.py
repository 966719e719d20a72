"""What a replica is told of its items: A and B of each kind, as this process would derive them.

Where places are kept for new items, or from them, it is told how often each was shown as well.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from nearcast_catalogue.item import ServedItem
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.columns import pack_stats
from nearcast_replica.growing import GrowingGeneration, Words
from nearcast_server.evidence import Evidence

_TOLD_AT_ONCE = 10_000


def tell(
    put: Callable[[Words], None],
    evidence: Evidence,
    generation: GrowingGeneration,
    postings: Sequence[int],
) -> None:
    """The statistics of those of these postings that live in this generation, kind by kind."""
    if evidence.priors.named:
        slots = generation.slots_of(np.array(postings, np.int64))
        places, which = generation.places_of(slots)
        postings = generation.segment["posting"][slots].tolist()
        beliefs = evidence.beliefs_from(postings, evidence.priors.lines_of(places)[which])
    else:
        beliefs = evidence.beliefs(postings)
    for row, kind in enumerate(beliefs.numbers):
        put(Words(kind, beliefs.postings, pack_stats(beliefs.a[row], beliefs.b[row])))
    if IMPRESSION in generation.segment.shape.kinds:
        put(Words(IMPRESSION, beliefs.postings, evidence.impressions_of(postings).astype(np.uint64)))


def tell_all(evidence: Evidence, generation: GrowingGeneration) -> None:
    """All statistics of a generation that nobody reads yet, by the rules of this evidence alone.

    Nobody shall be shown items as if nothing were known of them.
    """
    generation.forget(evidence.rules)
    postings = generation.postings() if evidence.priors.differ else list(evidence.rows)
    for part in parts(postings):
        tell(generation.put_statistics, evidence, generation, part)


def parts(postings: Sequence[int]) -> Iterator[Sequence[int]]:
    """As many as are told at once, so that others have a turn in between."""
    rest = iter(postings)
    while part := list(islice(rest, _TOLD_AT_ONCE)):
        yield part


class Births:
    """The statistics that items begin with, once priors differ by place; before, nothing is told of them."""

    def __init__(self, kinds: Sequence[int], evidence: Callable[[], Evidence | None]) -> None:
        self._kinds = kinds
        self._evidence = evidence

    def __call__(self, items: Sequence[ServedItem]) -> Sequence[tuple[int, ...]]:
        evidence = self._evidence()
        if evidence is None or not evidence.priors.differ or not items:
            return [()] * len(items)
        places = ((each.market, each.item.category) for each in items)
        beliefs = evidence.beliefs([each.posting for each in items], places)
        words = []
        for kind in self._kinds:
            if kind == IMPRESSION:
                words.append(evidence.impressions_of([each.posting for each in items]).tolist())
            else:
                row = beliefs.numbers.index(kind)
                words.append(pack_stats(beliefs.a[row], beliefs.b[row]).tolist())
        return list(zip(*words, strict=True))
