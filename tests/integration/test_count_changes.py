"""What changed of the counts is told by those who change them, until everybody has heard of it."""

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from nearcast_ledger.kinds import IMPRESSION
from nearcast_store.counting import postgres
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, LedgerRow
from nearcast_store.postgres import Pool, open_pool
from tests.conformance.ledger_rows import MIDNIGHT_MS, claims, learned, uuid7

if TYPE_CHECKING:
    from asyncpg import Connection, Record

    Outsider = Connection[Record]

SET = "update item_counts set count = $1 where posting = 10"


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, size=4, timeout_s=20.0)
    yield opened
    await opened.close()


@pytest.fixture
async def store(pool: Pool) -> PostgresCountStore:
    """Two items were seen once."""
    counts = PostgresCountStore(pool)
    await counts.fold(Batch([shown(1), shown(2, posting=11)]))
    return counts


@pytest.fixture
async def outsiders(database: str) -> "AsyncIterator[list[Outsider]]":
    connections = [await asyncpg.connect(database) for _ in range(3)]
    yield connections
    for connection in connections:
        await connection.close()


def shown(seed: int, **fields: object) -> LedgerRow:
    return learned(IMPRESSION, claims(uuid7(random.Random(seed), MIDNIGHT_MS), **fields))


async def told(store: PostgresCountStore, horizon: int) -> list[tuple[int, int]]:
    changes = await store.changed_since(1, horizon)
    assert not changes.complete
    return [(row.posting, row.count) for row in changes.rows]


async def test_of_two_changes_the_later_one_stands_though_its_transaction_is_the_older(
    store: PostgresCountStore, outsiders: "list[Outsider]"
) -> None:
    """Also for whoever looks again from between the two, as a third that goes on makes everybody do."""
    older, third, younger = outsiders
    begun = (await store.changed_since(1, None)).horizon
    changing, going_on = older.transaction(), third.transaction()
    for transaction, connection in ((changing, older), (going_on, third)):
        await transaction.start()
        await connection.execute("select pg_current_xact_id()")
    await younger.execute(SET, 5)
    await older.execute(SET, 6)
    await changing.commit()
    assert await told(store, begun) == [(10, 6)]
    horizon = (await store.changed_since(1, begun)).horizon
    assert horizon > begun
    assert await told(store, horizon) == [(10, 6)]
    await going_on.rollback()
    horizon = (await store.changed_since(1, horizon)).horizon
    assert await told(store, horizon) == []


async def test_who_has_not_heard_of_what_was_dropped_reads_everything(store: PostgresCountStore) -> None:
    before = (await store.changed_since(1, None)).horizon
    await store.fold(Batch([shown(3)]))
    after = (await store.changed_since(1, before)).horizon
    assert await store.drop_changes(3600.0) == 0
    assert await store.changed_postings(1, before, 0, 10) == [10]
    assert await store.drop_changes(-3600.0) > 0
    changes = await store.changed_since(1, before)
    assert changes.complete
    assert [row.posting for row in changes.rows] == [10, 11]
    assert await store.changed_postings(1, before, 0, 10) == [10, 11]
    assert await store.changed_postings(1, before, 10, 10) == [11]
    assert await told(store, after) == []
    assert await store.changed_postings(1, after, 0, 10) == []
    await store.fold(Batch([shown(4, posting=11)]))
    assert await told(store, after) == [(11, 2)]
    assert (await store.changed_since(2, before)).rows == []


async def test_what_another_server_dropped_before_a_restore_hides_nothing_that_is_dropped_here(
    store: PostgresCountStore, outsiders: "list[Outsider]"
) -> None:
    """Its transactions have numbers that are still to come here."""
    await outsiders[0].execute("insert into count_changes_dropped values (1, '99999999')")
    await outsiders[0].execute("update count_changes set xid = '99999998'")
    horizon = (await store.changed_since(1, None)).horizon
    await store.fold(Batch([shown(3)]))
    assert (10, 2) in await told(store, horizon)
    assert await store.drop_changes(-3600.0) > 1
    assert (await store.changed_since(1, horizon)).complete
    now = await store.horizon()
    assert await told(store, now) == []


async def test_more_changes_than_are_worth_sorting_are_read_as_everything(
    store: PostgresCountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    horizon = (await store.changed_since(1, None)).horizon
    await store.fold(Batch([shown(number, posting=number) for number in range(20, 24)]))
    assert len(await told(store, horizon)) == 4
    monkeypatch.setattr(postgres, "_MOST_CHANGED", 3)
    changes = await store.changed_since(1, horizon)
    assert changes.complete
    assert len(changes.rows) == 6


async def test_one_statement_may_change_very_many_counts(
    store: PostgresCountStore, outsiders: "list[Outsider]"
) -> None:
    horizon = (await store.changed_since(1, None)).horizon
    await outsiders[0].execute(
        "insert into item_counts select 1, n, 0, 1, 7, 1, 2, n % 2 = 0, 3 from generate_series(1001, 46000) n"
    )
    sizes = await outsiders[0].fetch("select size from count_changes where size > 2 order by change_id")
    assert sorted(size for (size,) in sizes) == [5_000, 20_000, 20_000]
    first = await store.changed_since(1, horizon, most=30_000)
    rest = await store.changed_since(1, horizon, first.rows[-1], most=30_000)
    assert (first.more, rest.more) == (True, False)
    assert [row.posting for part in (first, rest) for row in part.rows] == list(range(1001, 46001))
    assert {row[1:] for row in first.rows} == {(0, 1, 7, 1, 2, odd, 3) for odd in (True, False)}


async def test_no_index_holds_what_every_fold_changes(outsiders: "list[Outsider]") -> None:
    """So that a row is changed where it stands, and its indexes are left alone."""
    held = await outsiders[0].fetch(
        "select indexrelid::regclass from pg_index i join pg_attribute a on a.attrelid = i.indexrelid"
        " where i.indrelid in ('item_counts'::regclass, 'posting_totals'::regclass, 'kind_totals'::regclass)"
        " and a.attname in ('count', 'changed_xid')"
    )
    assert held == []
