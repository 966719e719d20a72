"""The files that the tests begin with are there."""

from tests.order import LONGEST, TESTS, TURNS, turn_of


def test_every_file_named_for_its_length_exists() -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(TURNS) == len(LONGEST)


def test_files_that_are_not_named_come_after_all_that_are() -> None:
    assert [turn_of(file) for file in TURNS] == list(range(len(LONGEST)))
    assert turn_of(TESTS / "quality" / "test_order.py") == len(LONGEST)
