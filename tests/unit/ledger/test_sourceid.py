"""The event id of a row that somebody else keeps."""

import pytest

from nearcast_ledger.requestid import is_uuid7, uuid7_ms
from nearcast_ledger.sourceid import MOST_MS, source_event_id

NOW_MS = 1_790_000_000_123


@pytest.mark.parametrize("time_ms", [0, NOW_MS, MOST_MS])
def test_it_is_a_uuid7_of_the_rows_time(time_ms: int) -> None:
    made = source_event_id("source", "17", time_ms)
    assert is_uuid7(made)
    assert uuid7_ms(made) == time_ms


def test_a_row_has_the_same_id_whenever_it_is_read() -> None:
    """Kept by ledgers for ever: it may never change."""
    assert str(source_event_id("source", "17", NOW_MS)) == "01a0c450-6c7b-7484-a6a1-4ba04b9877ab"


def test_rows_sources_and_times_are_told_apart() -> None:
    ids = {
        source_event_id(source, row, time_ms)
        for source in ("a", "ab")
        for row in ("b", "bc", "", "c")
        for time_ms in (NOW_MS, NOW_MS + 1)
    }
    assert len(ids) == 16


def test_an_id_of_any_text_is_taken() -> None:
    assert is_uuid7(source_event_id("source", "\ud800 Ä \0" * 1000, NOW_MS))
