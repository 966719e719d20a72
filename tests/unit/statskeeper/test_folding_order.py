"""Folding repeats and commutes: no order, repetition or split of the log changes a count."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_statskeeper.folding import plan
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import CountRow, FeedCount
from nearcast_store.log.protocol import Record
from tests.unit.statskeeper.entries import TENANT, learned, record, unattributed

Thing = TypeVar("Thing")
CUTS = st.sets(st.integers(1, 20), max_size=4)
EVENTS = st.one_of(
    st.builds(
        learned,
        st.sampled_from((IMPRESSION, VIEW, SAVE, APPLY)),
        st.integers(1, 4),
        st.integers(10, 12),
    ),
    st.builds(
        learned,
        st.sampled_from((IMPRESSION, VIEW)),
        st.integers(1, 4),
        st.integers(10, 12),
        unlearned=st.just(Unlearned.TOKEN_EXPIRED),
    ),
    st.builds(unattributed, st.integers(1, 3)),
)


def saves_do_not_reward(tenant_id: int, revision: int, kind: int) -> bool:
    return kind != SAVE


async def counted(batches: Sequence[Sequence[Record]]) -> tuple[list[CountRow], list[FeedCount]]:
    """Every count after these batches were folded one after the other."""
    counts = MemoryCountStore()
    for batch in batches:
        await counts.fold(plan(batch, saves_do_not_reward).batch)
    return sorted((await counts.changed_since(TENANT, None)).rows), await counts.feed_counts(TENANT)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[AcceptedEvent], list[list[Record]]]:
    """Events, and one way in which a log may deliver them: repeated, out of order, cut anywhere."""
    events = draw(st.lists(EVENTS, min_size=1, max_size=12))
    repeats = draw(st.lists(st.sampled_from(events), max_size=6))
    entries = pieces(draw(st.permutations([*events, *repeats])), draw(CUTS))
    records = [record(*each, place=place) for place, each in enumerate(entries, start=1)]
    redelivered = draw(st.lists(st.sampled_from(records), max_size=4))
    return events, pieces([*records, *redelivered], draw(CUTS))


def pieces(things: Sequence[Thing], cuts: Iterable[int]) -> list[list[Thing]]:
    """The same things, cut at these places."""
    bounds = sorted({0, len(things), *(cut for cut in cuts if cut < len(things))})
    return [list(things[start:end]) for start, end in pairwise(bounds)]


@given(deliveries())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_however_it_is_delivered_the_counts_are_the_same(
    delivered: tuple[list[AcceptedEvent], list[list[Record]]],
) -> None:
    events, batches = delivered
    assert asyncio.run(counted(batches)) == asyncio.run(counted([[record(*events)]]))
