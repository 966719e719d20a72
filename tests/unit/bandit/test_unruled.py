"""What rules have moved is what stands elsewhere without them."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nearcast_bandit.arranging import Candidate, Diversity, Layout
from nearcast_bandit.record import DecisionRecord
from nearcast_bandit.redeciding import redecide
from nearcast_bandit.reserving import Budget
from nearcast_bandit.unruled import Move, unruled
from tests.unit.bandit.records import make_record

LIMIT = 6


def rank_of(record: DecisionRecord, posting: int) -> int:
    return record.outcome.postings.index(posting) + 1 if posting in record.outcome.postings else 0


def test_a_plain_slate_has_no_moves_and_everybody_a_rank_and_a_score() -> None:
    record = make_record(40, limit=LIMIT)
    found = unruled(record)
    assert sorted(found.ranks.values()) == list(range(1, 41))
    assert [found.ranks[posting] for posting in record.outcome.postings] == [1, 2, 3, 4, 5, 6]
    assert [found.scores[posting] for posting in record.outcome.postings] == list(record.outcome.scores)
    assert not any(found.moves(posting, rank_of(record, posting)) for posting in found.ranks)


def test_a_pin_moves_what_it_pins_and_whom_it_displaces() -> None:
    plain = make_record(40, limit=LIMIT)
    worst = min(unruled(plain).scores, key=unruled(plain).scores.__getitem__)
    record = make_record(40, limit=LIMIT, layout=Layout(LIMIT, pins=((0, Candidate(worst)),)))
    found = unruled(record)
    assert found.moves(worst, 1) == (Move("pins", 0),)
    assert found.ranks[worst] == 40
    second, last = plain.outcome.postings[0], plain.outcome.postings[-1]
    assert found.moves(second, rank_of(record, second)) == (Move("pins", 1),)
    assert (rank_of(record, last), found.moves(last, 0)) == (0, (Move("pins", LIMIT),))


def test_diversity_moves_whom_it_lets_in_and_whom_it_keeps_out() -> None:
    record = make_record(40, limit=LIMIT, layout=Layout(LIMIT, Diversity(1, 0, 3)))
    free = make_record(40, limit=LIMIT)
    found = unruled(record)
    assert record.outcome.postings != free.outcome.postings
    for posting in found.ranks:
        moves = found.moves(posting, rank_of(record, posting))
        same = rank_of(record, posting) == rank_of(free, posting)
        assert moves == (() if same else (Move("diversity", rank_of(free, posting)),))


def test_places_for_new_items_move_them() -> None:
    record = make_record(40, limit=LIMIT, layout=Layout(LIMIT))
    pool = record.pool
    assert pool is not None
    worst = pool.postings[pool.a.sum(axis=0).argsort()[:3]]
    record = replace(
        record,
        ordering=msgspec.structs.replace(record.ordering, budget=Budget(floor_share=1.0)),
        pool=replace(pool, is_new=np.isin(pool.postings, worst)),
    )
    record = replace(record, outcome=redecide(record))
    found = unruled(record)
    first = record.outcome.postings[0]
    assert first in worst
    assert found.moves(first, 1) == (Move("newcomers", 0),)


def test_of_a_shuffle_only_the_pool_has_ranks_and_everybody_a_score() -> None:
    record = make_record(40, "explore", limit=LIMIT)
    found = unruled(record)
    assert len(found.ranks) == record.ordering.pool_size
    assert len(found.scores) == 40
    assert [found.ranks[posting] for posting in record.outcome.postings] == [1, 2, 3, 4, 5, 6]


def test_earlier_pages_have_no_rank() -> None:
    record = make_record(40, limit=LIMIT, excluded=(7, 14))
    assert not {7, 14} & set(unruled(record).ranks)


def test_without_candidates_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="holds no candidates"):
        unruled(replace(make_record(), pool=None))
