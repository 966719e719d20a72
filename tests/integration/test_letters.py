"""Dead letters settled: retried through the log as often as one likes, discarded with a reason."""

from collections.abc import AsyncIterator
from datetime import date

import pytest
from msgspec.structs import replace

from nearcast_ledger.event import Durability, Entry
from nearcast_ledger.kinds import IMPRESSION
from nearcast_statskeeper.reviving import Refusal, discard_letter, retry_letter
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store.counting.letters import Letter, PostgresLetters
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.errors import LogUnavailableError
from nearcast_store.log.codec import encode_entry
from tests.integration.counting_houses import CountingHouse, counting_house
from tests.unit.statskeeper.entries import NOW_S, claims, entry, impression, uuid7

REFUSED = "create function refuse() returns trigger language plpgsql as $$ begin \
    raise exception using errcode = '23514'; end $$; \
    create trigger refuse before insert on events for each row \
    when (new.posting = 66) execute function refuse()"
ACCEPTED = "drop trigger refuse on events; drop function refuse"


class DyingLog:
    """Appends, and then the process ends before it hears of it."""

    def __init__(self, house: CountingHouse) -> None:
        self._house = house

    async def append(self, entry: Entry) -> Durability:
        await self._house.append(entry)
        raise LogUnavailableError("the answer never came")


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[CountingHouse]:
    """One of two events was refused by the database, which has been put right since."""
    async with counting_house(database, redis_url) as opened:
        await Partitions(opened.pool).ensure([date(2026, 9, 21)])
        await opened.outsider.execute(REFUSED)
        await opened.append(entry(impression(1, posting=66), impression(2)))
        await opened.fold()
        await opened.outsider.execute(ACCEPTED)
        yield opened


@pytest.fixture
def letters(house: CountingHouse) -> PostgresLetters:
    return PostgresLetters(house.pool)


async def only_letter(letters: PostgresLetters) -> Letter:
    (letter,) = await letters.page(1, 0, 10, None, None)
    return letter


async def impressions(house: CountingHouse) -> int:
    return (await PostgresCountStore(house.pool).totals(1)).get(IMPRESSION, 0)


async def bury(house: CountingHouse, raw: bytes) -> int:
    number = await house.outsider.fetchval(
        "insert into dead_letters (tenant_id, shard, entry_id, reason, detail, entry)"
        " values (1, 0, '9-9', 'X', 'x', $1) returning dead_letter_id",
        raw,
    )
    assert isinstance(number, int)
    return number


def reason(outcome: Refusal | None) -> str | None:
    return None if outcome is None else outcome.reason


async def test_a_retried_letter_is_counted_and_kept_as_a_record(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    dead = await only_letter(letters)
    assert (dead.state, dead.reason, await impressions(house)) == ("dead", "STORE_REFUSED", 1)
    assert await retry_letter(letters, house.log, 1, dead.letter_id) is None
    await house.fold()
    settled = await only_letter(letters)
    assert (settled.state, await impressions(house)) == ("retried", 2)
    assert settled.settled_at is not None
    assert (await verify_stats(house.pool, 10)).clean
    assert (await house.balance()).balanced
    assert await letters.page(1, 0, 10, "dead", None) == []
    assert [letter.letter_id for letter in await letters.page(1, 0, 10, "retried", "STORE_REFUSED")] == [
        dead.letter_id
    ]


async def test_a_retry_that_breaks_off_after_the_append_is_counted_once(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    dead = await only_letter(letters)
    with pytest.raises(LogUnavailableError):
        await retry_letter(letters, DyingLog(house), 1, dead.letter_id)
    assert (await only_letter(letters)).state == "dead"
    for _ in range(2):
        assert await retry_letter(letters, house.log, 1, dead.letter_id) is None
    await house.fold()
    assert (await only_letter(letters)).state == "retried"
    assert await impressions(house) == 2
    assert (await verify_stats(house.pool, 10)).clean


async def test_a_letter_that_dies_again_is_another_letter(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    dead = await only_letter(letters)
    await house.outsider.execute(REFUSED)
    assert await retry_letter(letters, house.log, 1, dead.letter_id) is None
    await house.fold()
    first, second = await letters.page(1, 0, 10, None, None)
    assert (first.state, second.state) == ("retried", "dead")
    assert first.entry == second.entry
    assert (await house.balance()).balanced


async def test_a_discarded_letter_keeps_the_reason_and_is_not_discarded_again(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    dead = await only_letter(letters)
    assert await discard_letter(letters, 1, dead.letter_id, "a test of ours") is None
    settled = await only_letter(letters)
    assert (settled.state, settled.settled_note) == ("discarded", "a test of ours")
    assert reason(await discard_letter(letters, 1, dead.letter_id, "again")) == "LETTER_SETTLED"
    assert (await house.balance()).balanced


async def test_a_letter_of_another_tenant_is_unknown(house: CountingHouse, letters: PostgresLetters) -> None:
    dead = await only_letter(letters)
    assert await letters.letter(2, dead.letter_id) is None
    assert reason(await retry_letter(letters, house.log, 2, dead.letter_id)) == "LETTER_UNKNOWN"
    assert reason(await discard_letter(letters, 2, dead.letter_id, "")) == "LETTER_UNKNOWN"
    assert await letters.letter(1, dead.letter_id) == dead


async def test_what_would_only_be_buried_again_is_refused_and_stays(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    faulty = encode_entry(entry(replace(impression(3), item_id="NUL \0")))
    for raw in (b"\xff\xff", faulty):
        number = await bury(house, raw)
        assert reason(await retry_letter(letters, house.log, 1, number)) == "LETTER_FAULTY"
        letter = await letters.letter(1, number)
        assert letter is not None
        assert letter.state == "dead"
        await house.outsider.execute("delete from dead_letters where dead_letter_id = $1", number)


async def test_a_letter_older_than_the_ledger_is_refused(
    house: CountingHouse, letters: PostgresLetters
) -> None:
    """Its partition is gone, and with it the knowledge whether the event was counted by another report."""
    old = NOW_S - 3 * 86400
    shown = replace(impression(4), claims=claims(4, request_id=uuid7(4, old)))
    number = await bury(house, encode_entry(entry(shown)))
    assert reason(await retry_letter(letters, house.log, 1, number)) == "LETTER_TOO_OLD"
