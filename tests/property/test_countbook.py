"""What is learned in columns is what a dictionary of counts would come to, in any order and portions."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nearcast_config.policy import Exposure, Kind, Policy
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_server.countbook import Countbook
from nearcast_server.evidence import Learner
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.protocol import CountRow
from tests.unit.server.scene import HOUR, NOW, make_policy, make_revision

EXTREMES = st.builds(
    CountRow,
    st.sampled_from([1, 2, 2**63 - 1, -(2**63)]),
    st.sampled_from([0, 1, 2**31 - 1, -(2**31)]),
    st.sampled_from([1, 2, 2**15 - 1, -(2**15)]),
    st.sampled_from([HOUR, HOUR - 1, 2**31 - 1, -(2**31)]),
    st.sampled_from([1, 2, 2**15 - 1, -(2**15)]),
    st.sampled_from([0, 1, 2**15 - 1, -(2**15)]),
    st.booleans(),
    st.integers(0, 3),
)
ROWS = st.builds(
    CountRow,
    st.integers(1, 6),
    st.sampled_from([0, 7]),
    st.sampled_from([IMPRESSION, VIEW, SAVE, APPLY, 9]),
    st.integers(HOUR - 3, HOUR + 1),
    st.integers(0, 300),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.integers(0, 50),
)
FORGETFUL = make_policy(exposure=Exposure(half_life_hours=24.0), kinds={"save": Kind(weight=1.0)})
Counts = dict[tuple[int, ...], int]


def put(known: Counts, rows: Sequence[CountRow]) -> set[int]:
    """The postings whose counts are others now."""
    before = dict(known)
    for row in rows:
        known[row[:7]] = row.count
    for key in [key for key, count in known.items() if not count]:
        del known[key]
    return {key[0] for key in known.keys() | before.keys() if known.get(key) != before.get(key)}


def kept(book: Countbook) -> Counts:
    """What the book holds, as far as it can tell: markets, feeds and exploring make no evidence."""
    postings = {row: posting for posting, row in book.rows.items()}
    sums: Counts = {}
    for lines in book.everything():
        for row, kind, position, count in zip(
            *(column.tolist() for column in (lines.rows, lines.kinds, lines.positions, lines.counts)),
            strict=True,
        ):
            key = (postings[row], kind, lines.bucket, position)
            sums[key] = sums.get(key, 0) + count
    return {key: count for key, count in sums.items() if count}


def summed(known: Counts) -> Counts:
    sums: Counts = {}
    for (posting, _, kind, bucket, position, _, _), count in known.items():
        key = (posting, kind, bucket, position)
        sums[key] = sums.get(key, 0) + count
    return sums


@given(st.lists(st.lists(EXTREMES, max_size=20), max_size=6))
def test_the_book_holds_what_a_dictionary_would(portions: list[list[CountRow]]) -> None:
    book, known = Countbook(), Counts()
    for rows in portions:
        before = summed(known)
        put(known, rows)
        grown: dict[int, int] = {}
        for lines in book.take(CountColumns.of(rows)):
            grown[lines.bucket] = grown.get(lines.bucket, 0) + int(lines.counts.sum())
        after = summed(known)
        for bucket, change in grown.items():
            then, now = (sum(n for key, n in sums.items() if key[2] == bucket) for sums in (before, after))
            assert change == now - then
        assert kept(book) == summed(known)
    assert len(book) >= len(known)


@given(st.lists(st.lists(ROWS, max_size=30), min_size=1, max_size=5))
def test_evidence_is_that_of_the_counts_that_are_left(portions: list[list[CountRow]]) -> None:
    """However they came, under whichever policy, and whatever was taken back to nothing."""
    known, learner = Counts(), Learner()
    learner.follow(make_revision(), NOW)
    for rows in portions:
        assert learner.learn(rows) >= put(known, rows)
    postings = sorted({key[0] for key in known} | {1, 6})
    for number, policy in enumerate((None, FORGETFUL), start=1):
        learner.follow(make_revision(policy, number=number), NOW)
        found, expected = learner.evidence(NOW).beliefs(postings), anew(known, policy).evidence(NOW)
        for name in ("exposures", "successes", "a", "b"):
            told = getattr(expected.beliefs(postings), name)
            np.testing.assert_allclose(getattr(found, name), told, rtol=1e-9, atol=1e-9)


def anew(known: Counts, policy: Policy | None) -> Learner:
    """One count after the other."""
    learner = Learner()
    learner.follow(make_revision(policy), NOW)
    for key, count in known.items():
        posting, market, kind, bucket, position, feed, explore = key
        learner.learn([CountRow(posting, market, kind, bucket, position, feed, bool(explore), count)])
    return learner


@given(st.lists(EXTREMES, max_size=30), st.none() | EXTREMES)
def test_columns_in_order_are_the_last_of_each_key_behind_a_row(
    rows: list[CountRow], after: CountRow | None
) -> None:
    last = {row[:7]: row for row in rows}
    expected = sorted(row for key, row in last.items() if after is None or key > after[:7])
    assert CountColumns.of(rows).latest(after) == expected


def test_a_count_takes_less_than_forty_bytes_and_nothing_once_its_hour_is_gone() -> None:
    book = Countbook()
    rows = [
        CountRow(posting, 0, kind, HOUR - hour, position, 1, False, 1)
        for hour in range(4)
        for posting in range(500)
        for kind in (IMPRESSION, VIEW)
        for position in (1, 2, 3)
    ]
    for portion in (rows[::7], rows):
        for _ in book.take(CountColumns.of(portion)):
            pass
    assert len(book) == len(rows)
    assert book.size_bytes / len(book) < 24
    for _ in book.take(CountColumns.of([row._replace(count=0) for row in rows])):
        pass
    assert len(book) == book.size_bytes == 0
