"""Files of items: CSV in all its forms, lines of any size, and what is wrong with a line."""

import gzip
from io import BytesIO
from pathlib import Path

import pytest

from nearcast.v1.item_pb2 import Item
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.itemfile.checkpoint import Counted, Progress
from nearcast_cli.itemfile.entries import Entries, Format
from nearcast_cli.itemfile.journal import Journal
from nearcast_cli.itemfile.lines import MOST_LINE_BYTES, Lines, Mark
from nearcast_cli.itemfile.opening import opened
from nearcast_cli.itemfile.rejects import Rejects
from nearcast_cli.itemfile.telling import steps
from nearcast_cli.jsonlines import read_message
from nearcast_cli.plainitem import read_plain_item
from nearcast_cli.rows import BadRow, Row

HEAD = "item_id,latitude,longitude,title\n"


def read(text: str | bytes, **form: object) -> list[Row | BadRow]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(Entries(Lines(BytesIO(raw)), Format("csv", **form)))  # type: ignore[arg-type]


def items(text: str | bytes, **form: object) -> list[Item]:
    rows = read(text, **form)
    assert all(isinstance(row, Row) for row in rows), rows
    return [row.item for row in rows if isinstance(row, Row)]


def only_bad(text: str | bytes, **form: object) -> BadRow:
    (row,) = read(text, **form)
    assert isinstance(row, BadRow), row
    return row


def test_every_kind_of_column_fills_its_field() -> None:
    head = "item_id,latitude,longitude,reach_m,version,tags,starts_at,hours,attributes.price,category\n"
    row = (
        "a,59.5, -10.25 ,2500,7,jazz | late night,2026-05-17T18:00:00+02:00,"
        '"{""time_zone"": ""Europe/Oslo""}",12 kr,cafe\n'
    )
    (item,) = items(head + row)
    assert (item.locations[0].latitude, item.locations[0].longitude) == (59.5, -10.25)
    assert (item.reach_m, item.version, item.category) == (2500.0, 7, "cafe")
    assert [tag.name for tag in item.tags] == ["jazz", "late night"]
    assert item.starts_at.seconds == 1_779_033_600
    assert item.hours.time_zone == "Europe/Oslo"
    assert item.attributes == {"price": "12 kr"}


def test_cells_that_are_json_are_read_as_in_a_line_of_json() -> None:
    head = "item_id,locations,tags\n"
    row = 'a,"[{""latitude"": 1, ""longitude"": 2}]","[{""name"": ""x"", ""relevance"": 0.5}]"\n'
    (item,) = items(head + row)
    assert item.locations[0].longitude == 2.0
    assert item.tags[0].relevance == 0.5
    bad = only_bad(head + 'a,"[], ""item_id"": ""b""",\n')
    assert (bad.field, bad.reason) == ("locations", "MALFORMED_MESSAGE")


def test_quotes_line_breaks_and_delimiters_within_cells_are_kept() -> None:
    text = HEAD + 'a,1,2,"Hello, ""you""\nthere"\nb,3,4,plain "as is" here\n'
    rows = read(text)
    assert [row.item.title for row in rows if isinstance(row, Row)] == [
        'Hello, "you"\nthere',
        'plain "as is" here',
    ]
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_a_mark_at_the_beginning_and_empty_lines_mean_nothing(end: str) -> None:
    text = "\ufeff" + HEAD.replace("\n", end) + end + f"a,1,2,{end},,,{end}b,3,4,t"
    assert [(item.item_id, item.title) for item in items(text)] == [("a", ""), ("b", "t")]


def test_other_delimiters_and_other_names() -> None:
    text = "id;lat;lon;Name;internal\na;1,5;2;x;9\nb;1.5;2;y;9\n"
    columns = {"item_id": "id", "latitude": "lat", "longitude": "lon", "title": "Name"}
    bad, good = read(text, delimiter=";", columns=columns)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.field) == (2, "latitude")
    assert "1,5 has a decimal comma; write 1.5" in bad.message
    assert isinstance(good, Row)
    assert good.item.title == "y"
    entries = Entries(Lines(BytesIO(text.encode())), Format("csv", ";", columns))
    assert entries.ignored == ["internal"]


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        ("a,59,9,10,7,t", "", "has 6 cells where the header has 4"),
        ("a,1", "", "has 2 cells where the header has 4"),
        ('a,"59,9",2,t', "latitude", "decimal comma"),
        ("a,north,2,t", "latitude", "must be a number"),
        ("a,nan,2,t", "latitude", "must be a number"),
        ("a,1e999,2,t", "latitude", "must be a number"),
        ("a,1_0,2,t", "latitude", "must be a number"),
        ("a,,2,t", "locations[0].latitude", "is empty and the other coordinate is not"),
        ("a,1,,t", "locations[0].longitude", "is empty and the other coordinate is not"),
        ('a,1,2,"open', "", "a quote is opened and never closed"),
        ('a,1,2,"shut"up', "", "goes on after its closing quote"),
    ],
)
def test_a_row_is_refused_with_field_and_cause(row: str, field: str, message: str) -> None:
    bad = only_bad(HEAD + row + "\n")
    assert (bad.line, bad.field, bad.reason) == (2, field, "MALFORMED_MESSAGE")
    assert message in bad.message


def test_a_time_must_have_a_zone_and_a_version_be_whole() -> None:
    assert only_bad("item_id,latitude,longitude,expires_at\na,1,2,2026-05-17 18:00\n").field == "expires_at"
    assert only_bad("item_id,latitude,longitude,version\na,1,2,1.5\n").field == "version"


def test_a_quote_that_is_never_closed_spoils_its_own_line_alone() -> None:
    rows = read(HEAD + 'a,1,2,"open\n' + "".join(f"b{n},1,2,t\n" for n in range(3)))
    assert [(row.line, type(row)) for row in rows] == [(2, BadRow), (3, Row), (4, Row), (5, Row)]


def test_bytes_that_are_no_text_spoil_their_own_line_alone() -> None:
    bad, good = read(HEAD.encode() + b"a,1,2,\xff\nb,1,2,t\n")
    assert isinstance(bad, BadRow)
    assert "byte 7" in bad.message
    assert isinstance(good, Row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name the columns"),
        ("\n", "the first line must name the columns"),
        ("id,latitude,longitude\n", "no column is the item_id"),
        ("item_id,lat,lon\n", "no columns are latitude and longitude"),
        ("item_id,latitude,longitude,title,title\n", "title more than once"),
        ("item_id;latitude;longitude\n", 'is the delimiter ";"'),
        ("item_id,latitude,longitude,locations\n", "locations and also a latitude"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_anything_is_sent(text: str, message: str) -> None:
    with pytest.raises(CommandFailedError, match=message) as caught:
        read(text)
    assert (caught.value.reason, caught.value.field) == ("COLUMNS_UNKNOWN", "header")


@pytest.mark.parametrize("columns", [{"bogus": "title"}, {"owner": "nobody"}, {"title": "item_id2"}])
def test_a_column_that_is_renamed_must_be_there_and_be_a_field(columns: dict[str, str]) -> None:
    with pytest.raises(CommandFailedError):
        read(HEAD, columns=columns)


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_huge_line_is_passed_over_in_bounded_memory(kind: str) -> None:
    huge = b"x" * (3 * MOST_LINE_BYTES)
    head, good = (b"", b'{"item_id": "b"}') if kind == "ndjson" else (HEAD.encode(), b"b,1,2,t")
    lines = Lines(BytesIO(head + huge + b"\n" + good + b"\n"))
    bad, row = Entries(lines, Format(kind))  # type: ignore[arg-type]
    assert isinstance(bad, BadRow)
    assert (bad.reason, str(len(huge) + 1) in bad.message) == ("TOO_LARGE", True)
    assert isinstance(row, Row)
    assert row.line == bad.line + 1
    assert lines.offset == len(head) + len(huge) + 1 + len(good) + 1


def test_a_nul_is_refused_in_json_and_left_to_the_server_in_csv() -> None:
    (bad,) = Entries(Lines(BytesIO(b'{"item_id": "a\x00"}\n')), Format())
    assert isinstance(bad, BadRow)
    assert bad.reason == "MALFORMED_MESSAGE"
    assert items(HEAD + "a,1,2,t\x00\n")[0].title == "t\x00"


def test_an_empty_file_of_json_has_no_entries() -> None:
    assert list(Entries(Lines(BytesIO(b"")), Format())) == []


def test_lines_are_known_again_and_others_are_not() -> None:
    text = b"one\ntwo\n" + b"x" * (2 * MOST_LINE_BYTES) + b"\nthree\n"
    lines = Lines(BytesIO(text))
    assert not lines.skip_to(Mark(9, 9, "?"))
    mark = lines.mark()
    assert (mark.line, mark.offset) == (4, len(text))
    assert Lines(BytesIO(text + b"more\n")).skip_to(mark)
    for other in (text.replace(b"xxx\n", b"yyy\n"), text.replace(b"two", b"twO"), text[:-1]):
        assert not Lines(BytesIO(other)).skip_to(mark)


def test_a_compressed_file_is_told_by_its_bytes_and_one_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"item_id": "a"}\n' * 1000)
    file = tmp_path / "items"
    file.write_bytes(whole)
    with opened(file) as source:
        assert len(list(source.lines)) == 1000
        assert source.read_bytes == source.size
    file.write_bytes(whole[:-20])
    with pytest.raises(CommandFailedError, match="cut off"), opened(file) as source:
        list(source.lines)


def test_text_of_another_width_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(CommandFailedError, match="UTF-16"), opened(file):
        pass


def test_a_long_import_says_now_and_then_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "items"
    file.write_bytes(b"x" * 3_000)
    said: list[str] = []
    now_s = 0.0
    with opened(file) as source, Rejects(None) as rejects:
        journal = Journal(Progress("", source.lines.mark()), rejects)
        noticed = steps(source, "imported", lambda: now_s, said.append)
        source.raw.read(1_000)
        for _ in range(25):
            now_s += 1.0
            journal.counted = Counted(written=journal.counted.written + 100, refused=1)
            noticed(journal)
    assert said == [
        "1,000 imported, 1 refused, 90/s, about 20 s left",
        "2,000 imported, 1 refused, 95/s, about 40 s left",
    ]


PLAIN = (
    '{"itemId": "a", "title": "Café", "locations": [{"latitude": 1, "longitude": -2.5}]}',
    '{"item_id": "a", "tags": [{"name": "x"}, {"name": "y", "relevance": 0}], "reachM": 5}',
    '{"attributes": {"k": "v"}, "version": 7, "imageUrl": "u", "expiresAt": "2026-05-17T18:00:00.5+02:00"}',
    '{"locations": [{}], "title": "\\u0000", "owner": ""}',
)
NOT_PLAIN = (
    *('{"a": 1}', "[]", "5", "{", "", '{"title": "a", "title": "b"}', '{"title": null}', '{"version": "7"}'),
    *('{"version": 1.0}', '{"version": 9223372036854775808}', '{"reach_m": NaN}', '{"reach_m": "5"}'),
    *('{"reach_m": 1e999}', '{"reach_m": true}', '{"title": "\\ud800"}', '{"locations": [{"lat": 1}]}'),
    *('{"tags": [{"name": "x", "relevance": 1, "more": 1}]}', '{"tags": "x"}', '{"tags": ["x"]}'),
    *('{"attributes": []}', '{"attributes": {"k": 5}}', '{"expires_at": "soon"}', '{"hours": {}}'),
    *('{"locations": {"latitude": 1}}', '{"locations": [null]}', '{"posting": "5"}'),
)


@pytest.mark.parametrize("line", PLAIN)
def test_plain_lines_are_read_as_the_general_reader_reads_them(line: str) -> None:
    assert read_plain_item(line.encode()) == read_message(line.encode(), Item())


@pytest.mark.parametrize("line", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_the_general_reader(line: str) -> None:
    assert read_plain_item(line.encode()) is None
