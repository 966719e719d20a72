"""A table keeps its numbers and ids whole, whatever it is printed on."""

import pytest

from nearcast_cli.printing import counted, print_table

COLUMNS = ("title", "id", ">impression", "outcome")
ROW = ("Bicycle courier at Solmoen 11", "town-00196", "16262", "x" * 200)


def test_where_there_is_no_terminal_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [ROW])

    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["title", "id", "impression", "outcome"]
    assert all(cell in row for cell in ROW)


def test_on_a_narrow_terminal_only_text_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    print_table(COLUMNS, [ROW])

    _, row = capsys.readouterr().out.splitlines()
    assert "town-00196" in row
    assert "16262" in row
    assert "…" in row
    assert "x" * 60 not in row


def test_one_is_not_counted_as_several() -> None:
    assert [counted(0, "event"), counted(1, "event"), counted(2, "batch", "batches")] == [
        "0 events",
        "1 event",
        "2 batches",
    ]
