"""Lines of a file as items, and what is said of the others."""

from io import BytesIO

import pytest

from nearcast.v1.item_pb2 import Item
from nearcast_cli.itemfile.batching import batches
from nearcast_cli.itemfile.entries import Entries, Format
from nearcast_cli.itemfile.lines import Lines
from nearcast_cli.rows import (
    MOST_BATCH_BYTES,
    MOST_BATCH_ITEMS,
    BadRow,
    Row,
    read_row,
    write_row,
)


def read(*lines: str) -> list[Row | BadRow]:
    return of_bytes("".join(f"{line}\n" for line in lines).encode())


def of_bytes(text: bytes) -> list[Row | BadRow]:
    return list(Entries(Lines(BytesIO(text)), Format()))


def refused(line: str) -> BadRow:
    (row,) = read(line)
    assert isinstance(row, BadRow)
    return row


def test_both_spellings_of_a_field_are_read_and_blank_lines_are_not() -> None:
    rows = read('{"itemId": "a", "reachM": 5}', "", '{"item_id": "b", "reach_m": 5}', "  ")
    assert [(row.line, row.item.item_id, row.item.reach_m) for row in rows if isinstance(row, Row)] == [
        (1, "a", 5.0),
        (3, "b", 5.0),
    ]
    assert len(rows) == 2


def test_a_byte_order_mark_is_no_part_of_the_line() -> None:
    (row,) = of_bytes(b'\xef\xbb\xbf{"item_id": "a"}')
    assert isinstance(row, Row)


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ("nonsense", "", "must be one JSON object per line"),
        ("[]", "", "must be one JSON object per line"),
        ('{"bogus": 1}', "", 'Item has no field named "bogus"'),
        ('{"locations": [{"lat": 1}]}', "locations[0]", 'LatLng has no field named "lat"'),
        ('{"locations": [{"latitude": "x"}]}', "locations[0].latitude", "Couldn't parse float: x"),
        ('{"item_id": 5}', "item_id", "got 'int'"),
        ('{"expires_at": "soon"}', "expires_at", "missing valid timezone offset"),
        ('{"hours": {"intervals": [{"day": "X"}]}}', "hours.intervals[0].day", "Invalid enum value X"),
        ('{"item_id": "a"', "", "Expecting"),
        ('{"item_id": "a", "item_id": "b"}', "", "duplicate key item_id"),
    ],
)
def test_a_bad_line_is_told_with_field_and_cause(line: str, field: str, message: str) -> None:
    row = refused(line)
    assert (row.field, row.reason) == (field, "MALFORMED_MESSAGE")
    assert message in row.message
    assert "Failed to" not in row.message
    assert "\n" not in row.message


def test_bytes_that_are_no_text_are_told_with_their_place() -> None:
    row = read_row(1, b'{"item_id": "\xff"}')
    assert isinstance(row, BadRow)
    assert "byte 14" in row.message


def test_very_deep_nesting_is_refused_like_any_bad_line() -> None:
    assert refused('{"attributes":' * 5000 + "1" + "}" * 5000).reason == "MALFORMED_MESSAGE"


def test_an_item_that_no_call_could_take_is_refused() -> None:
    assert refused('{"item_id": "a", "title": "' + "x" * MOST_BATCH_BYTES + '"}').reason == "TOO_LARGE"


def test_batches_are_cut_by_count_by_size_and_before_an_item_comes_again() -> None:
    def cut(rows: list[Row]) -> list[int]:
        return [len(batch.rows) for batch in batches(rows, Lines(BytesIO(b"x\n")))]

    small = [Row(number, Item(item_id=f"i{number}")) for number in range(MOST_BATCH_ITEMS + 1)]
    assert cut(small) == [MOST_BATCH_ITEMS, 1]
    large = [Row(number, Item(item_id=f"i{number}", title="x" * 400_000)) for number in range(5)]
    assert cut(large) == [2, 2, 1]
    assert cut([Row(1, Item(item_id="a")), Row(2, Item(item_id="b")), Row(3, Item(item_id="a"))]) == [2, 1]
    assert cut([]) == []


def test_a_written_line_is_read_as_the_same_item_without_what_only_the_server_says() -> None:
    item = Item(item_id="a", title="Café", version=7, etag="e", posting=9, attributes={"k": "v"})
    item.created_at.GetCurrentTime()
    (row,) = read(write_row(Item.FromString(item.SerializeToString()), keep_version=False))
    assert isinstance(row, Row)
    assert row.item == Item(item_id="a", title="Café", attributes={"k": "v"})
    (kept,) = read(write_row(item, keep_version=True))
    assert isinstance(kept, Row)
    assert kept.item.version == 7
