"""Request ids rise whatever the clock does, and carry the server's time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4, uuid5

import pytest

from nearcast_ledger.requestid import (
    RequestIds,
    hour_bucket,
    identity_day,
    is_uuid7,
    parse_uuid,
    uuid7_ms,
)

NOW_MS = 1_790_000_000_123


def zeros(count: int) -> bytes:
    return bytes(count)


def ones(count: int) -> bytes:
    return b"\xff" * count


def ids_at(times_ms: Iterator[int]) -> RequestIds:
    return RequestIds(lambda: next(times_ms), zeros)


def test_an_id_is_a_uuid7_of_the_moment() -> None:
    for source in (zeros, ones):
        minted = RequestIds(lambda: NOW_MS, source).next()
        assert is_uuid7(minted)
        assert uuid7_ms(minted) == NOW_MS


def test_the_random_part_is_all_that_was_drawn() -> None:
    highest = RequestIds(lambda: NOW_MS, ones).next()
    lowest = RequestIds(lambda: NOW_MS, zeros).next()
    assert (highest.int ^ lowest.int).bit_count() == 74


def test_ids_rise_while_the_clock_stands_still_or_steps_back() -> None:
    times = [NOW_MS, NOW_MS, NOW_MS - 3_600_000, NOW_MS - 3_599_999, NOW_MS, NOW_MS + 1]
    ids = ids_at(iter(times))
    minted = [ids.next() for _ in times]
    assert all(earlier.int < later.int for earlier, later in pairwise(minted))
    assert [uuid7_ms(value) for value in minted] == [NOW_MS] * 5 + [NOW_MS + 1]


def test_a_full_millisecond_borrows_the_next_one() -> None:
    ids = RequestIds(lambda: NOW_MS, ones)
    first, second = ids.next(), ids.next()
    assert uuid7_ms(second) == NOW_MS + 1
    assert first.int < second.int
    assert is_uuid7(second)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(1970, 1, 1, tzinfo=UTC), date(1970, 1, 1)),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), date(2028, 2, 29)),
    ],
)
def test_day_and_hour_are_those_of_utc(moment: datetime, day: date) -> None:
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    minted = RequestIds(lambda: since_epoch // timedelta(milliseconds=1), zeros).next()
    assert identity_day(minted) == day
    assert hour_bucket(minted) == since_epoch // timedelta(hours=1)


@pytest.mark.parametrize(
    "value",
    [
        UUID(int=0),
        UUID(int=(1 << 128) - 1),
        uuid4(),
        uuid5(UUID(int=0), "x"),
        UUID("01a1fc93-050e-7095-c572-a4f4006d5600"),
    ],
    ids=["nil", "max", "random", "name", "wrong variant"],
)
def test_other_uuids_carry_no_time(value: UUID) -> None:
    assert not is_uuid7(value)


def test_a_uuid_is_read_in_either_case() -> None:
    text = "01a1fc93-050e-7095-8572-a4f4006d56ab"
    assert parse_uuid(text) == parse_uuid(text.upper()) == UUID(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 36,
        "{01a1fc93-050e-7095-8572-a4f4006d56ab}",
        "urn:uuid:01a1fc93-050e-7095-8572-a4f4006d56ab",
        "01a1fc93050e70958572a4f4006d56ab",
        "01a1fc93-050e-7095-8572-a4f4006d56a",
        "01a1fc9-3050e-7095-8572-a4f4006d56ab",
        "01a1fc93-050e-7095-8572-a4f4006d56a\n",
        "01a1fc93-050e-7095-8572-a4f4006d56a\u0663",
        "01a1fc93-050e-7095-8572-a4f4006d_6ab",
        "\ud800" * 36,
    ],
)
def test_any_other_form_is_no_uuid(text: str) -> None:
    assert parse_uuid(text) is None
